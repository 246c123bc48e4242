"""The command `corpus2vec`: parses, calls, and turns errors into a few lines and an exit code. The commands are in `flows.commands`.

0 done, 1 failure, 2 wrong use or configuration, 130 interrupted.
"""

import os
import sys

from cyclopts import CycloptsError

from flows.commands import (  # noqa: F401 - this adds their commands
    keeping,
    models,
    questions,
    reproduction,
    runs,
    sharing,
    training,
    vectors,
    verification,
)
from flows.commands.shared import app
from flows.interruption import INTERRUPTED, hear_interruptions
from flows.terminal import Terminal
from pipeline.errors import Corpus2VecError, StoreError, UsageError


def main() -> None:
    """The console script."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    errors = Terminal(stderr=True, highlight=False)
    hear_interruptions()
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command = " ".join(error.command_chain or ())
        wrong = UsageError(str(error), remedy=f"{' '.join(['corpus2vec', command]).strip()} --help shows what there is.")
        errors.print(f"error: {wrong}", markup=False, soft_wrap=True)
        return wrong.exit_code
    except Corpus2VecError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # of a path that no module knew better about
        refused = StoreError("The system refuses.", where=str(error.filename or ""), got=error.strerror or str(error))
        errors.print(f"error: {refused}", markup=False, soft_wrap=True)
        return refused.exit_code
    except KeyboardInterrupt as interrupt:
        errors.print(str(interrupt) or "Interrupted. Finished steps are kept; the same command goes on from there.")
        return INTERRUPTED
    return 0
