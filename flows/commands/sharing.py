"""`corpus2vec push` and `pull`: models, runs and artifacts to a store that people share, and from there."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.commands.shared import AsJson, Overrides, StorePath, app, configuration_of, console, print_json, store_path
from flows.commands.training import display_of
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from flows.display import Display
    from pipeline.lineage.sharing.transfer import Transfer
    from pipeline.storage.shared import SharedStore
    from pipeline.storage.store import Store

Url = Annotated[
    str,
    Parameter(
        help="s3://BUCKET/PATH, another object store, or file:///DIRECTORY.  [default: $CORPUS2VEC_SHARED, or store.shared of --config]",
        show_default=False,
    ),
]
ConfigOption = Annotated[Path | None, Parameter(name="--config", help="A TOML file that names both stores.", show_default=False)]
Partial = Annotated[bool, Parameter(help="Do without inputs that were removed; what is in them is then unknown for good.", negative="")]


@app.command
def push(
    reference: Annotated[str, Parameter(help="A model, a version (NAME@2, NAME@production), a run, or the beginning of a key.")],
    url: Url = "",
    /,
    *,
    partial: Partial = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Send a model, and all that it was made from, to a store that people share; only what is not there yet.

    It lies there by its content: nothing is ever overwritten, and after an interruption the same command goes on.
    Who may write is said by the environment (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL).
    """
    from pipeline.events import listening
    from pipeline.lineage.references import resolve
    from pipeline.lineage.sharing.transfer import push as push_referent

    where, shared = _stores(url, config, overrides, store)
    referent = resolve(where, reference)
    with _display(as_json) as display, listening(display):
        done = push_referent(where, shared, referent, partial=partial)
    _show(done, "Pushed", "sent", as_json)


@app.command
def pull(
    reference: Annotated[str, Parameter(help="A run, a model's name (its newest run there), or the beginning of a key.")],
    url: Url = "",
    /,
    *,
    partial: Partial = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Bring a model, and all that it was made from, from a store that people share; only what is not here yet.

    Every file is compared with its digest when it arrives. The model gets the next number of its name.
    After an interruption the same command goes on. Who may read is said by the environment, as for push.
    """
    from pipeline.events import listening
    from pipeline.lineage.sharing.transfer import pull as pull_reference

    where, shared = _stores(url, config, overrides, store)
    with _display(as_json) as display, listening(display):
        done = pull_reference(shared, where, reference, partial=partial)
    _show(done, "Pulled", "received", as_json)


def _stores(url: str, config: Path | None, overrides: list[str] | None, store: Path | None) -> tuple["Store", "SharedStore"]:
    """The store that is meant, and the shared one."""
    from pipeline.storage.shared import SharedStore
    from pipeline.storage.store import Store

    place, shared, source = store_path(store), os.environ.get("CORPUS2VEC_SHARED", ""), "$CORPUS2VEC_SHARED"
    if config or overrides:
        configured = configuration_of(config, overrides, store).store
        place, shared, source = Path(configured.path), configured.shared, "key store.shared"
    if url:
        shared, source = url, "URL"
    if not shared:
        raise UsageError(
            "Which shared store?",
            where="URL",
            expected="s3://BUCKET/PATH or file:///DIRECTORY",
            remedy="Give its URL behind the reference, or set CORPUS2VEC_SHARED, or name a file with store.shared (--config FILE).",
        )
    return Store(place), SharedStore(shared, source)


def _display(as_json: bool) -> "Display":
    from flows.display import JsonLines

    return JsonLines(sys.stderr) if as_json else display_of(as_json=False)


def _show(done: "Transfer", verb: str, moved: str, as_json: bool) -> None:
    from flows.tables import readable_bytes

    if as_json:
        print_json(asdict(done))
        return
    out = console()
    out.print(
        f"{verb} {done.name}: {done.n_artifacts:,} artifacts; {done.n_sent:,} files {moved} ({readable_bytes(done.sent_bytes)}), "
        f"{done.n_present:,} were there ({readable_bytes(done.present_bytes)}); {done.elapsed_s:.1f} s.",
        markup=False,
        soft_wrap=True,
    )
    if done.version:
        out.print(f"It is {done.version} here: corpus2vec similar WORD --model {done.version}", markup=False, soft_wrap=True)
    if done.missing:
        names = ", ".join(f"{link.stage}/{link.key[:12]}" for link in done.missing[:5])
        out.print(f"Without {len(done.missing):,} artifacts that are missing: {names}", markup=False, soft_wrap=True)
