"""Names of runs that sort in the order of the runs, whatever the clock says."""

import contextlib
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

_STAMP = "%Y%m%dT%H%M%S"
_ID = re.compile(r"(\d{8}T\d{6})-[0-9a-f]{6}")


def is_id(name: str) -> bool:
    """Whether a run can be called so."""
    return bool(_ID.fullmatch(name))


def next_id(taken: Iterable[str], now: datetime, suffix: str) -> str:
    """A name that sorts after all that are taken: by the time, or by a second after the last one when the clock is behind that.

    So of two runs in a store the one that began later is behind the other, also after the clock was set back, or within a second. Runs that
    begin at the same moment in several processes may come in any order.
    """
    stamp = now.strftime(_STAMP)
    last = max((found[1] for name in taken if (found := _ID.fullmatch(name))), default="")
    if last >= stamp:
        with contextlib.suppress(ValueError, OverflowError):  # no time at all, or the end of all times
            stamp = (datetime.strptime(last, _STAMP) + timedelta(seconds=1)).strftime(_STAMP)
    return f"{stamp}-{suffix}"
