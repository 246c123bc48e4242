"""What a step makes, as a Prefect asset: `corpus2vec://<model>/<step>`, whose materializations carry keys and digests.

The asset is the same from run to run, so that an automation can wait for new vectors of a model; what came out is in the metadata. A step
that is reused materializes nothing. In Prefect's open-source server assets are events only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.assets import Asset, AssetProperties

from pipeline.stage import Step
from pipeline.storage.artifact import Artifact

LISTED = 100  # artifacts; Prefect refuses events of more than 1.5 MB


def asset_key(model: str, step: str) -> str:
    """The key of what a step of a model makes; names of models have no letters that Prefect does not take."""
    return f"corpus2vec://{model}/{step}"


def asset_of(model: str, step: Step) -> Asset:
    """What a step makes."""
    return Asset(key=asset_key(model, step.name), properties=AssetProperties(name=f"{model} {step.name}"))


def metadata_of(store: Path, run: str, artifacts: Sequence[Artifact]) -> dict[str, Any]:
    """Where it is, which run made it, its keys and digests (of the first hundred artifacts), and its size."""
    return {
        "store": str(store),
        "run": run,
        "artifacts": len(artifacts),
        "keys": [f"{artifact.manifest.stage}/{artifact.manifest.key}" for artifact in artifacts[:LISTED]],
        "digests": [artifact.manifest.digest for artifact in artifacts[:LISTED]],
        "rows": sum(file.n_rows for artifact in artifacts for file in artifact.manifest.files),
        "bytes": sum(artifact.manifest.size_bytes for artifact in artifacts),
    }
