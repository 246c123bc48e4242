"""The errors that a user can meet. Each says what is wrong, where, what was found and expected, and what to do about it.

Everything else that escapes is a defect of ours and keeps its traceback.
"""


class Corpus2VecError(Exception):
    """The root of our errors; ends the command with `exit_code`.

    Parameters
    ----------
    what
        One sentence: what is wrong.
    where
        The path of the configuration key, or the file and the place in it.
    got, expected
        What was found there, and what would have been right.
    remedy
        What the user can do now.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", got: str = "", expected: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.details = {"where": where, "got": got, "expected": expected, "remedy": remedy}

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"  {name + ':':<10}{text}" for name, text in self.details.items() if text]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors travel from worker processes: rebuild them with all their parts."""
        return (_rebuild, (type(self), self.what, self.details))


def _rebuild(kind: type[Corpus2VecError], what: str, details: dict[str, str]) -> Corpus2VecError:
    return kind(what, **details)


class UsageError(Corpus2VecError):
    """The command, or a name given to it, is wrong: an unknown word, model or run."""

    exit_code = 2


class ConfigurationError(UsageError):
    """A configuration key or value is wrong, or values do not go together."""


class InputError(Corpus2VecError):
    """A file of the corpus or of an evaluation set cannot be used."""


class StoreError(Corpus2VecError):
    """The store cannot be written or read, or an artifact in it is not what its manifest says."""


class SharedStoreError(StoreError):
    """A shared store cannot be reached or written, or something in it is not what it is called."""


class WorkerError(Corpus2VecError):
    """Workers died over a task again and again."""


class ReproductionError(Corpus2VecError):
    """Something cannot be made again by this program, or was and has other bytes."""


class TrainingError(Corpus2VecError):
    """Training cannot go on: its loss is no longer finite."""
