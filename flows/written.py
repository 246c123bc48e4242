"""Files that a command writes for its user, outside every store."""

from pathlib import Path

from pipeline.errors import UsageError


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises
    ------
    UsageError
        When it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")  # a path may hold what is not Unicode
    except OSError as error:
        raise UsageError(
            "The file cannot be written.",
            where=str(path),
            got=error.strerror or str(error),
            expected="a path in a directory that exists and may be written",
            remedy="Name another file.",
        ) from error
