from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.sequence import next_id

moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
TRIVIAL = "0a1b2c"


@given(st.lists(moments, min_size=1, max_size=20))
def test_next_id__sorts_behind_all_before_whatever_the_clock_does(clock: list[datetime]) -> None:
    taken: list[str] = []
    for now in clock:
        taken.append(next_id(taken, now, TRIVIAL))
    assert taken == sorted(set(taken))


@given(moments, moments)
def test_next_id__is_the_time_when_the_clock_goes_on(one: datetime, other: datetime) -> None:
    first, second = sorted((one, other))
    if second.replace(microsecond=0) > first:
        taken = [next_id([], first, TRIVIAL)]
        assert next_id(taken, second, TRIVIAL) == f"{second:%Y%m%dT%H%M%S}-{TRIVIAL}"


def test_next_id__takes_no_notice_of_what_is_no_run_and_comes_to_an_end_with_time() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert next_id(["zzz", "99991231T235959", "20269999T999999-000000x"], now, TRIVIAL) == f"20260101T000000-{TRIVIAL}"
    for last in ("99991231T235959-ffffff", "20279999T000000-ffffff"):
        assert next_id([last], now, TRIVIAL) == f"20260101T000000-{TRIVIAL}"
