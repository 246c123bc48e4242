from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.lineage.corpora import Change, CorpusFile, changed_files

files = st.lists(
    st.builds(CorpusFile, st.sampled_from("abcdef"), st.sampled_from(["d1", "d2", "d3", "d4"]), st.just(1), st.just(())),
    max_size=6,
    unique_by=lambda file: file.location,
)


@given(files, files)
def test_changed_files__lead_from_one_side_to_the_other(before: list[CorpusFile], after: list[CorpusFile]) -> None:
    digests = Counter(file.digest for file in before)
    for change in changed_files(before, after):
        if change.before:
            digests[change.before.digest] -= 1
        if change.after:
            digests[change.after.digest] += 1
    assert +digests == Counter(file.digest for file in after)
    assert min(digests.values(), default=0) >= 0


@given(files, files)
def test_changed_files__say_no_more_than_there_is(before: list[CorpusFile], after: list[CorpusFile]) -> None:
    changes = changed_files(before, after)
    n_same = (Counter(file.digest for file in before) & Counter(file.digest for file in after)).total()
    assert sum(change.before is not None for change in changes) == len(before) - n_same
    assert sum(change.after is not None for change in changes) == len(after) - n_same
    for change in changes:
        if change.change is Change.CHANGED:
            assert change.before.location == change.after.location == change.location


@given(files, st.permutations("uvwxyz"))
def test_changed_files__see_no_new_names(before: list[CorpusFile], names: list[str]) -> None:
    renamed = [CorpusFile(names["abcdef".index(file.location)], file.digest, 1, ()) for file in before]
    assert changed_files(before, renamed) == ()
