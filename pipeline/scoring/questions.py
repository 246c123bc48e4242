"""Files of analogy questions, a is to b as c is to d: read and checked. Imports nothing heavy: that is done before anything else."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.scoring.evaluation import read_lines


@dataclass(frozen=True)
class Section:
    """The questions under one heading."""

    name: str
    questions: tuple[tuple[str, str, str, str], ...]
    """(a, b, c, d) as in the file; d is the right answer."""

    @property
    def is_syntactic(self) -> bool:
        """Whether it asks for grammar, not for meaning: by the file's custom its name begins with "gram"."""
        return self.name.startswith("gram")


@dataclass(frozen=True)
class Questions:
    """The sections of one file, in its order."""

    sections: tuple[Section, ...]

    @property
    def n_questions(self) -> int:
        """Questions of all sections."""
        return sum(len(section.questions) for section in self.sections)


def read_questions(path: Path) -> Questions:
    """The questions of a file in the format of questions-words.txt: a line ": name" opens a section, every other has four words.

    Raises
    ------
    InputError
        When the file cannot be read or holds no question; with the line's number when a line is not of the format.
    """
    sections: list[tuple[str, list[tuple[str, str, str, str]]]] = []
    for number, line in read_lines(path):
        if line.startswith(":"):
            name = line[1:].strip()
            if not name:
                raise _wrong_line(path, number, line, 'a name after ":"')
            sections.append((name, []))
            continue
        words = line.split()
        if len(words) != 4:
            raise _wrong_line(path, number, f"{len(words)} words: {line}", "four words, or a heading that begins with ':'")
        if not sections:
            raise _wrong_line(path, number, line, 'a heading, such as ": capitals", before the first question')
        a, b, c, d = words
        sections[-1][1].append((a, b, c, d))
    if not any(questions for _, questions in sections):
        raise InputError("A file of analogy questions holds none.", where=str(path), expected="lines of four words under headings")
    return Questions(tuple(Section(name, tuple(questions)) for name, questions in sections))


def _wrong_line(path: Path, number: int, got: str, expected: str) -> InputError:
    return InputError(
        "A line of the analogy questions is wrong.",
        where=f"{path}, line {number}",
        got=got[:120],
        expected=expected,
        remedy="Correct the line.",
    )
