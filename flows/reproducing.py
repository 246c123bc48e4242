"""What `corpus2vec reproduce` says: a table of what came out, one sentence, or the error that names the first difference."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from flows.tables import readable_bytes, table_of
from pipeline.errors import ReproductionError
from pipeline.lineage.reproducing.byte_differences import FileDifference
from pipeline.lineage.reproducing.recipes import is_own_function
from pipeline.lineage.reproducing.reproduction import EnvironmentDifference, Rebuilt, Reproduction, Result, environment_differences

MOST_NAMED = 10  # files that were found elsewhere, and files that differ


def show_reproduction(found: Reproduction, console: Console) -> None:
    """Print the table, and the verdict unless `difference_error` has it."""
    for moved in found.moved[:MOST_NAMED]:
        console.print(f"{printable(moved.before)} was found at {printable(moved.now)}", markup=False)
    if len(found.moved) > MOST_NAMED:
        console.print(f"{len(found.moved) - MOST_NAMED:,} more files were found elsewhere")
    console.print()
    console.print(table_of([_row(name, some) for name, some in _by_step(found)], right=("artifacts", "seconds then", "now")))
    console.print()
    if found.first is None:
        for line in verdict(found):
            console.print(line, markup=False)


def verdict(found: Reproduction) -> list[str]:
    """One line, and one for each artifact that could not be the same, when nothing differs that should not."""
    n_all, n_same = len(found.artifacts), found.count(Result.SAME)
    if n_same == n_all:
        return [f"The same bytes: all {n_all} artifacts of {found.name}." if n_all > 1 else f"The same bytes: {found.name}."]
    lines = [f"The same bytes: {n_same} of {n_all} artifacts of {found.name}; nothing differs that promised not to."]
    return lines + [_excuse(one) for one in found.artifacts if one.result is not Result.SAME]


def _excuse(one: Rebuilt) -> str:
    if one.result is Result.NOT_COMPARED:
        return f"{one.name} was not built: {_names(one.lacks)} came out otherwise, and what it was made from is not in the store as it was."
    losses = [artifact.manifest.measures.get("loss") for artifact in (one.recorded, one.rebuilt) if artifact]
    then_now = f" Loss {losses[0]:.4g} then, {losses[1]:.4g} now." if len(losses) == 2 and None not in losses else ""
    return f'{one.name} cannot come out the same: its threads shared one model without locks (train.mode = "shared").{then_now}'


def difference_error(found: Reproduction) -> ReproductionError | None:
    """The first artifact that differs, where and how, and what in the environment explains it; None when none does."""
    one = found.first
    if one is None:
        return None
    later = [other for other in found.artifacts if other is not one and other.result is not Result.SAME]
    names = "\n" + " " * 12
    return ReproductionError(
        f"{one.name} has other bytes. Of the {len(found.artifacts)} artifacts of {found.name} it is the first.",
        where=str(one.recorded.directory),
        got=names.join(_files(one.files)),
        expected=f"the bytes of {one.recorded.manifest.created}",
        remedy=names.join([_explanation(one), *(_of_a_later_one(other) for other in later[:MOST_NAMED])]),
    )


def _files(files: Sequence[FileDifference]) -> Iterator[str]:
    yield from (file_text(file) for file in files[:MOST_NAMED])
    if len(files) > MOST_NAMED:
        yield f"and {len(files) - MOST_NAMED:,} more files"


def file_text(file: FileDifference) -> str:
    """One line on a file that differs."""
    if file.then is None or file.now is None:
        return f"{file.name}: was {'made now' if file.then is None else 'made then'}, and is not among the files of the other"
    sizes = [f"{record.n_rows:,} rows, {readable_bytes(record.size_bytes)}" for record in (file.then, file.now)]
    size = f"{sizes[0]} then and now" if sizes[0] == sizes[1] else f"{sizes[0]} then, {sizes[1]} now"
    if file.unknown:
        return f"{file.name}: {size}; {file.unknown}"
    if file.cell is None:
        return f"{file.name}: {size}; all rows are the same, they are only written otherwise"
    cell = file.cell
    where = f"row {cell.row:,}" + (f", {cell.column}" if cell.column else "")
    apart = "" if file.largest is None else f"; at most {file.largest:.2g} apart"
    return f"{file.name}: {size}; first in {where}: {cell.then or 'nothing'} then, {cell.now or 'nothing'} now{apart}"


def _explanation(one: Rebuilt) -> str:
    found = environment_differences(one)
    tokenizer = str(one.recorded.manifest.settings.get("tokenizer", ""))
    if is_own_function(tokenizer):
        return printable(
            f"{tokenizer} is no part of this program: it, or a library that it uses, gives other tokens under the same version."
        )
    deciding = [text_of_environment(difference) for difference in found if difference.decides]
    others = [text_of_environment(difference) for difference in found if not difference.decides]
    if deciding:
        return f"Its bytes depend on the environment: {'; '.join(deciding)}. Where that is as it was, they are the same."
    if others:
        return f"What should decide its bytes is as it was; what else differs: {'; '.join(others)}. Look there first."
    return "The environment is as it was: this is a defect of the program, or of the machine. Please report it."


def text_of_environment(difference: EnvironmentDifference) -> str:
    """One difference of environments in a few words."""
    return printable(f"{difference.name} was {difference.then or 'not noted'}, and is {difference.now or 'nothing'} here")


def _of_a_later_one(one: Rebuilt) -> str:
    match one.result:
        case Result.DIFFERENT:
            inputs = f", from {_names(one.stands_in)} as recorded" if one.stands_in else ""
            return f"{one.name} differs too{inputs}."
        case Result.NOT_COMPARED:
            return f"{one.name} was not built, because {_names(one.lacks)} as it was is not in the store."
        case _:
            return _excuse(one)


def _names(artifacts: Sequence[Any]) -> str:
    return ", ".join(f"{artifact.manifest.stage}/{artifact.manifest.key[:12]}" for artifact in artifacts[:3])


def _by_step(found: Reproduction) -> Iterator[tuple[str, list[Rebuilt]]]:
    for name in dict.fromkeys(one.step for one in found.artifacts):
        yield name, [one for one in found.artifacts if one.step == name]


def _row(name: str, some: Sequence[Rebuilt]) -> dict[str, str]:
    counts = {result: sum(one.result is result for one in some) for result in Result}
    results = [f"{n:,} {result}" if n < len(some) else str(result) for result, n in counts.items() if n]
    stand_ins = dict.fromkeys(artifact.manifest.stage for one in some for artifact in one.stands_in)
    return {
        "step": name,
        "artifacts": f"{len(some):,}",
        "result": ", ".join(results) + (f" (from the recorded {', '.join(stand_ins)})" if stand_ins else ""),
        "seconds then": f"{sum(one.recorded.manifest.elapsed_s for one in some):,.1f}",
        "now": f"{sum(one.rebuilt.manifest.elapsed_s for one in some if one.rebuilt):,.1f}",
    }


def rows_of(found: Reproduction) -> dict[str, Any]:
    """The whole of it for machines."""
    first = found.first
    return {
        "reference": found.name,
        "same": first is None,
        "first": first.name if first else None,
        "artifacts": [_values(one) for one in found.artifacts],
        "moved": [{"before": moved.before, "now": moved.now} for moved in found.moved],
    }


def _values(one: Rebuilt) -> dict[str, Any]:
    now = one.rebuilt.manifest if one.rebuilt else None
    then = one.recorded.manifest
    return {
        "step": one.step,
        "stage": then.stage,
        "key": then.key,
        "result": one.result.value,
        "digest_then": then.digest,
        "digest_now": now.digest if now else None,
        "seconds_then": then.elapsed_s,
        "seconds_now": now.elapsed_s if now else None,
        "files": [_file_values(file) for file in one.files],
        "environment": [vars(difference) for difference in environment_differences(one)],
        "recorded_inputs": [artifact.manifest.key for artifact in one.stands_in],
        "missing_inputs": [artifact.manifest.key for artifact in one.lacks],
    }


def _file_values(file: FileDifference) -> dict[str, Any]:
    records = {name: vars(record) if record else None for name, record in (("then", file.then), ("now", file.now))}
    return {
        "name": file.name,
        **records,
        "first_difference": vars(file.cell) if file.cell else None,
        "largest_difference": file.largest,
        "unknown": file.unknown,
    }


def printable(text: str) -> str:
    """Text with control characters as escapes: a terminal must not obey a path or a manifest."""
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode() for character in text)
