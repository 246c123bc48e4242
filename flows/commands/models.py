"""`corpus2vec diff`, `models`, `promote` and `rollback`: the versions of a model, what differs between them, and which one counts."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter, validators

from flows.commands.shared import AsJson, Count, StorePath, app, console, print_json, store_path, warn_of_unusable
from pipeline.errors import Corpus2VecError, StoreError, UsageError

Name = Annotated[str, Parameter(help="The name of a model.")]
Alias = Annotated[str, Parameter(name="--as", help="The alias: small letters, digits and hyphens.")]
Reference = Annotated[str, Parameter(help="A model (NAME, NAME@2, NAME@production), a run, or the beginning of a key.")]


@app.command
def diff(
    before: Reference,
    after: Reference,
    /,
    *,
    words: Annotated[
        int, Parameter(validator=validators.Number(gte=1), help="How many of the most frequent words in common are compared.")
    ] = 2_000,
    count: Count = 10,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """What differs between two models, runs or artifacts: parameters, files, environment, scores, and how far the vectors moved.

    The movement is the share of a word's ten nearest neighbours that are others now. Two trainings that differ by their seeds alone do not
    have the same ones: on the shipped 20 MB the vectors move 0.36 that way.
    """
    from flows.comparing import difference_as_json, show_difference
    from pipeline.lineage.comparing.comparison import difference
    from pipeline.lineage.references import resolve
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    found = difference(where, resolve(where, before), resolve(where, after), count, words)
    print_json(difference_as_json(found)) if as_json else show_difference(found, console())


@app.command
def models(
    name: Annotated[str, Parameter(help="The name of a model; without one, all models.", show_default=False)] = "",
    /,
    *,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """The models with their newest versions and aliases; with NAME, all versions of one and the history of its aliases."""
    from flows.models import show_model, show_models
    from pipeline.lineage.promoting.catalogue import listed_model, listed_models
    from pipeline.lineage.promoting.promotion import find_version
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    unusable: list[StoreError] = []
    if name:
        find_version(where, name, "")  # which says what there is when there is no such model
        found = listed_model(where, name, unusable.append)
        print_json(asdict(found)) if as_json else show_model(found, console())
    else:
        known = listed_models(where, unusable.append)
        if as_json:
            print_json([asdict(model) for model in known])
        elif known or not unusable:  # otherwise there are models, and the warning names them
            show_models(known, where, console())
    warn_of_unusable(unusable)


@app.command
def promote(
    name: Name,
    reference: Annotated[
        str, Parameter(help="A version of it: a number, an alias, a run, or the beginning of a key; else the newest.", show_default=False)
    ] = "",
    /,
    *,
    alias: Alias = "production",
    max_drop: Annotated[float, Parameter(help="Points that the accuracy of a set of analogies may be below the present version's.")] = 0.5,
    min_coverage: Annotated[
        float, Parameter(validator=validators.Number(gte=0, lte=1), help="The share of every evaluation set that must be asked.")
    ] = 0.5,
    max_drift: Annotated[
        float,
        Parameter(
            validator=validators.Number(gte=0, lte=1),
            help="How far the vectors may move from the present ones, as diff measures it: another seed alone makes 0.36 on 20 MB of text.",
        ),
    ] = 0.5,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Have an alias (production) stand for a version of NAME from now on, if it fulfils conditions; else exit code 1, and nothing moves.

    `--model NAME@production` then means this version in similar, analogy, evaluate, export and show. Every byte of the version's vectors
    and scores is read and compared with its digest first. Scores made by other questions than the present version's are made again.
    """
    from flows.models import promotion_as_json, show_promotion
    from pipeline.lineage.promoting.conditions import Limits
    from pipeline.lineage.promoting.promotion import Outcome
    from pipeline.lineage.promoting.promotion import promote as promote_version
    from pipeline.storage.store import Store

    if not max_drop >= 0:
        raise UsageError("A drop cannot be negative.", where="--max-drop", got=str(max_drop), expected="points, 0 or more")
    where = Store(store_path(store))
    found = promote_version(where, name, reference, alias, Limits(max_drop, min_coverage, max_drift))
    print_json(promotion_as_json(found)) if as_json else show_promotion(found, console())
    if found.outcome is Outcome.REFUSED:
        failed = [condition.name for condition in found.conditions if not condition.passed]
        raise Corpus2VecError(
            f"{found.version} was not promoted: {', '.join(failed)}.",
            got=f"{name}@{alias} is {found.before or 'nothing yet'}, as before",
            remedy="Train better vectors, or allow more: --max-drop, --min-coverage, --max-drift.",
        )


@app.command
def rollback(name: Name, /, *, alias: Alias = "production", store: StorePath = None, as_json: AsJson = False) -> None:
    """Have an alias (production) of NAME stand for what it stood for before.

    Done again it goes further back, along what was promoted. The history keeps both steps: corpus2vec models NAME.
    """
    from pipeline.lineage.promoting.promotion import rollback as roll_back
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    found = roll_back(where, name, alias)
    if as_json:
        print_json(asdict(found))
    else:
        console().print(f"{name}@{alias} is {found.version} again, and was {found.before}.", markup=False, soft_wrap=True)
