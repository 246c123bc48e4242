"""An explanation for machines."""

from dataclasses import asdict
from typing import Any

from pipeline.lineage.causes import Cause
from pipeline.lineage.explanation import Explanation
from pipeline.storage.artifact import Manifest


def values(found: Explanation) -> dict[str, Any]:
    """All that is known of why a step would run, for JSON."""
    return {
        "step": found.step,
        "verdict": found.verdict,
        "sentence": found.sentence,
        "because_of": list(found.path[1:]),
        "cause": _cause(found.cause) if found.cause else None,
        "differences": [asdict(difference) for difference in found.differences],
        "artifacts": found.n_artifacts,
        "found": found.n_found,
    }


def _cause(cause: Cause) -> dict[str, Any]:
    files = asdict(cause.files) if cause.files is not None else None
    return {"of": cause.key, "before": cause.before, "now": cause.now, "files": files, "compared_with": _named(cause.compared)}


def _named(manifest: Manifest | None) -> dict[str, Any] | None:
    if manifest is None:
        return None
    return {"stage": manifest.stage, "key": manifest.key, "digest": manifest.digest, "created": manifest.created}
