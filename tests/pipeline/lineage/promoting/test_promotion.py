import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import Corpus2VecError, StoreError, UsageError
from pipeline.lineage.comparing.movement import movement
from pipeline.lineage.models import find_model
from pipeline.lineage.promoting.conditions import Condition, Limits
from pipeline.lineage.promoting.promotion import PRODUCTION, Outcome, Promotion, find_version, promote, rollback
from pipeline.storage.artifact import Link
from pipeline.storage.locks import LockedError, alone
from pipeline.storage.registry import Registry
from pipeline.storage.store import MODELS, RUNS, Store
from tests.pipeline.lineage.stores import WORDS, finished_run
from tests.pipeline.small_runs import configured, walk

NAME = "vectors"
ANYTHING = Limits(max_drop=100, min_coverage=0, max_drift=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A directory with questions, and a store with three versions of a model: other seeds, the last one for fewer words."""
    directory = tmp_path_factory.mktemp("promotion")
    questions = [" ".join(four) for four in itertools.islice(itertools.permutations(WORDS, 4), 0, 40_000, 97)]
    (directory / "asked.txt").write_text(": all\n" + "\n".join(questions))
    evaluate = {"evaluate__analogies": (str(directory / "asked.txt"),), "evaluate__similarity": ()}
    store, _ = finished_run(directory, **evaluate)
    paths = [directory / f"text-{number}.txt" for number in (1, 2)]
    for changes in ({"train__seed": 2}, {"train__seed": 3, "vocabulary__max_vocabulary": 14}):
        walk(configured(*paths, **evaluate, **changes), store.root).finish("a test")
    return directory


@pytest.fixture
def store(trained: Path, tmp_path: Path) -> Store:
    """A copy of that store, with nothing promoted yet."""
    shutil.copytree(trained / "store", tmp_path / "store")
    return Store(tmp_path / "store")


def one(found: Promotion, name: str) -> Condition:
    return next(condition for condition in found.conditions if condition.name.startswith(name))


def test_promote__the_first_has_nothing_to_be_compared_with(store: Store) -> None:
    found = promote(store, NAME, "1", limits=Limits(max_drop=0, min_coverage=1, max_drift=0))
    assert (found.outcome, found.before, found.version.number) == (Outcome.PROMOTED, None, 1)
    assert {condition.name: condition.passed for condition in found.conditions} == {
        "analogies asked": True,
        "coverage asked": True,
        "drift": True,
    }
    assert "first promotion" in one(found, "drift").note
    assert Registry(store).aliases(NAME) == {PRODUCTION: 1}
    again = promote(store, NAME, "1")
    assert (again.outcome, again.move) == (Outcome.ALREADY, None)
    assert len(Registry(store).history(NAME, PRODUCTION)) == 1


def test_promote__finds_a_version_by_whatever_made_it(store: Store) -> None:
    second = Registry(store).versions(NAME)[1]
    for reference in ("2", "vectors@2", second.run, second.vectors.key[:12], f"train/{second.vectors.key[:8]}"):
        assert find_version(store, NAME, reference) == second
    assert find_version(store, NAME, "").number == 3
    promote(store, NAME, "2", "staging", ANYTHING)
    assert promote(store, NAME, "staging", limits=ANYTHING).version == second
    evaluation = second.evaluation.key[:12]
    for reference, part in (("9", "no such version"), ("nobody", "nothing that is called so"), (evaluation, "no version of vectors")):
        with pytest.raises(UsageError, match=part):
            find_version(store, NAME, reference)
    with pytest.raises(UsageError, match="called so"):
        promote(store, "other")
    for alias in ("../up", "2", "Production", ""):
        with pytest.raises(UsageError, match="alias cannot be called"):
            promote(store, NAME, "1", alias)


def test_promote__passes_at_the_limit_and_fails_beyond_it(store: Store) -> None:
    promote(store, NAME, "1", limits=ANYTHING)
    before, worse = ("1", "3")
    if one(promote(store, NAME, "3", limits=ANYTHING), "analogies").figure > 0:
        promote(store, NAME, "1", limits=ANYTHING)
    else:  # they got better: back again they get worse
        before, worse = worse, before
    tried = promote(store, NAME, worse, limits=Limits(0, 0, 0))
    assert (tried.outcome, tried.before.number) == (Outcome.REFUSED, int(before))
    drift, coverage, drop = (one(tried, name).figure for name in ("drift", "coverage", "analogies"))
    assert drift == movement(*(find_model(store, f"{NAME}@{number}").read() for number in (before, worse))).drift
    assert drift > 0
    assert drop > 0

    def outcome(**limits: float) -> Outcome:
        bounds = {"max_drop": drop, "min_coverage": coverage, "max_drift": drift} | limits
        history = Registry(store).history(NAME, PRODUCTION)
        found = promote(store, NAME, worse, limits=Limits(**bounds))
        if found.outcome is Outcome.REFUSED:
            assert Registry(store).history(NAME, PRODUCTION) == history
        return found.outcome

    assert outcome(max_drop=drop - 1e-6) is Outcome.REFUSED
    assert outcome(max_drift=drift - 1e-6) is Outcome.REFUSED
    assert outcome(min_coverage=coverage + 1e-6) is Outcome.REFUSED
    assert outcome() is Outcome.PROMOTED
    assert f"over {NAME}@{before}, analogies asked -{drop:.2f} points" in Registry(store).history(NAME, PRODUCTION)[-1].reason


def test_promote__asks_both_the_present_versions_questions_where_they_were_asked_others(store: Store, trained: Path) -> None:
    (trained / "others.txt").write_text(": all\nking queen of a\n")
    paths = [trained / f"text-{number}.txt" for number in (1, 2)]
    other = {"evaluate__analogies": (str(trained / "others.txt"),), "evaluate__similarity": ()}
    walk(configured(*paths, **other, train__seed=9), store.root).finish("a test")
    promote(store, NAME, "1", limits=ANYTHING)
    found = promote(store, NAME, "4", limits=ANYTHING)
    assert [condition.name for condition in found.conditions] == ["analogies asked", "coverage asked", "drift"]
    assert one(found, "analogies").figure is not None
    assert found.outcome is Outcome.PROMOTED
    # Who was asked nothing at all cannot slip through either.
    walk(configured(*paths, evaluate__analogies=(), evaluate__similarity=(), train__seed=10), store.root).finish("a test")
    promote(store, NAME, "1", limits=ANYTHING)
    assert one(promote(store, NAME, "5", limits=ANYTHING), "analogies").figure is not None
    shutil.rmtree(store.root / RUNS)
    promote(store, NAME, "1", "another", limits=ANYTHING)
    refused = promote(store, NAME, "4", "another", limits=Limits(99, 0, 1))
    assert refused.outcome is Outcome.REFUSED
    assert "no record of run" in one(refused, "analogies").note


@pytest.mark.parametrize("harm", ["flipped", "gone", "evaluation gone", "truncated"])
def test_promote__refuses_what_is_no_longer_what_was_registered(harm: str, store: Store) -> None:
    version = Registry(store).versions(NAME)[1]
    link = version.evaluation if harm.startswith("evaluation") else version.vectors
    artifact = store.find(link.stage, link.key)
    path = artifact.path(artifact.manifest.files[0].name)
    if harm.endswith("gone"):
        shutil.rmtree(artifact.directory)
    elif harm == "truncated":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(StoreError):
        promote(store, NAME, "2", limits=ANYTHING)
    assert Registry(store).history(NAME, PRODUCTION) == []


def test_promote__over_a_version_that_is_gone_needs_limits_that_let_all_pass(store: Store) -> None:
    promote(store, NAME, "1", limits=ANYTHING)
    shutil.rmtree(find_model(store, f"{NAME}@1").artifact.directory)
    refused = promote(store, NAME, "2", limits=Limits(99.9, 0, 1))
    assert refused.outcome is Outcome.REFUSED
    assert "no longer what was registered" in one(refused, "drift").note
    assert one(refused, "drift").passed
    assert promote(store, NAME, "2", limits=Limits(100, 0, 1)).outcome is Outcome.PROMOTED


def test_promote__that_was_overtaken_looks_at_its_conditions_again(store: Store, monkeypatch) -> None:
    registry = Registry(store)
    first, second, _ = registry.versions(NAME)
    registry.register(NAME, "another run", first.vectors, first.evaluation)  # version 4, with the vectors of version 1
    promote(store, NAME, "1", limits=ANYTHING)
    move, overtaken = Registry.move, []

    def overtaking(self: Registry, *arguments: object, **more: object) -> object:
        if not overtaken:
            overtaken.append(True)
            assert promote(store, NAME, "2", limits=ANYTHING).outcome is Outcome.PROMOTED
        return move(self, *arguments, **more)

    monkeypatch.setattr(Registry, "move", overtaking)
    found = promote(store, NAME, "4", limits=Limits(100, 0, 0))  # fits over version 1, and not over 2
    assert (found.outcome, found.before) == (Outcome.REFUSED, second)
    assert [move.version for move in registry.history(NAME, PRODUCTION)] == [1, 2]


def test_promote__by_many_at_once_leaves_a_history_in_which_each_knew_its_predecessor(store: Store) -> None:
    wanted = [1, 2, 3] * 4
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda number: promote(store, NAME, str(number), limits=ANYTHING), wanted))
    history = Registry(store).history(NAME, PRODUCTION)
    assert [move.number for move in history] == list(range(1, len(history) + 1))
    moved = sorted((promotion.move for promotion in found if promotion.move), key=lambda move: move.number)
    assert moved == history
    assert "the first" in history[0].reason
    for before, after in itertools.pairwise(history):
        assert before.version != after.version
        assert f"promoted over {NAME}@{before.version}," in after.reason


def test_rollback__goes_back_along_what_was_promoted_and_never_forth(store: Store) -> None:
    for number in (1, 2, 3):
        promote(store, NAME, str(number), limits=ANYTHING)
    assert rollback(store, NAME).version.number == 2
    assert rollback(store, NAME).version.number == 1
    with pytest.raises(UsageError, match="nothing to go back to"):
        rollback(store, NAME)
    promote(store, NAME, "3", limits=ANYTHING)
    found = rollback(store, NAME)  # what it stood for before, which was a rollback
    assert (found.before.number, found.version.number) == (3, 1)
    moves = [(move.version, move.back_to) for move in Registry(store).history(NAME, PRODUCTION)]
    assert moves == [(1, None), (2, None), (3, None), (2, 2), (1, 1), (3, None), (1, 1)]


@given(steps=st.lists(st.sampled_from([1, 2, 3, "back"]), max_size=12))
@settings(max_examples=15)
def test_rollback__undoes_promotions_like_a_stack(steps: list, trained: Path) -> None:
    registry = Registry(Store(trained / "store"))
    alias = f"a{len(registry.aliases(NAME))}"  # a new one each time
    stack: list[int] = []
    for step in steps:
        if step != "back":
            promote(registry.store, NAME, str(step), alias, ANYTHING)
            if stack[-1:] != [step]:
                stack.append(step)
        elif len(stack) < 2:
            with pytest.raises(UsageError):
                rollback(registry.store, NAME, alias)
        else:
            stack.pop()
            assert rollback(registry.store, NAME, alias).version.number == stack[-1]
        assert registry.aliases(NAME).get(alias) == (stack[-1] if stack else None)


def test_rollback__to_what_is_gone_moves_nothing(store: Store) -> None:
    for number in (1, 2):
        promote(store, NAME, str(number), limits=ANYTHING)
    shutil.rmtree(find_model(store, f"{NAME}@1").artifact.directory)
    with pytest.raises(StoreError, match="vectors@1 is no longer"):
        rollback(store, NAME)
    assert Registry(store).aliases(NAME)[PRODUCTION] == 2


def test_rollback__by_two_at_once_goes_back_once(store: Store, monkeypatch) -> None:
    for number in (1, 2, 3):
        promote(store, NAME, str(number), limits=ANYTHING)
    move, overtaken = Registry.move, []

    def overtaking(self: Registry, *arguments: object, **more: object) -> object:
        if not overtaken:
            overtaken.append(True)
            rollback(store, NAME)
        return move(self, *arguments, **more)

    monkeypatch.setattr(Registry, "move", overtaking)
    with pytest.raises(Corpus2VecError, match="moved by somebody else"):
        rollback(store, NAME)
    assert Registry(store).aliases(NAME)[PRODUCTION] == 2


def test_rollback__of_what_was_never_promoted_says_how_to(store: Store) -> None:
    with pytest.raises(UsageError, match="no such alias") as refused:
        rollback(store, NAME, "staging")
    assert "corpus2vec promote vectors --as staging" in str(refused.value)
    with pytest.raises(UsageError, match="called so"):
        rollback(store, "other")


def test_registry__of_hostile_links_leads_nowhere(store: Store) -> None:
    registry = Registry(store)
    link = Link("../../outside", "e" * 64, "e" * 64)
    registry.register(NAME, "run", link, link)
    with pytest.raises(StoreError, match="no longer what was registered"):
        promote(store, NAME, limits=ANYTHING)
    assert (store.root / MODELS).exists()


def test_promote__and_rollback_hold_the_store_while_they_look(store: Store, monkeypatch) -> None:
    move, tried = Registry.move, []

    def collecting(self: Registry, *arguments: object, **more: object) -> object:
        with pytest.raises(LockedError), alone(store.root, 0):
            raise AssertionError("gc could have removed what is being promoted")
        tried.append(True)
        return move(self, *arguments, **more)

    monkeypatch.setattr(Registry, "move", collecting)
    for number in (1, 2):
        promote(store, NAME, str(number), limits=ANYTHING)
    rollback(store, NAME)
    assert len(tried) == 3
    with alone(store.root, 0):
        assert Registry(store).aliases(NAME)[PRODUCTION] == 1
