"""Where something was computed: recorded in manifests and run records, never part of a key or a digest."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from kernels.lanes import processor, simd_width

PACKAGES = ("corpus2vec", "numpy", "numba", "llvmlite", "pyarrow", "dask", "scipy", "prefect")
COMPUTING = ("simd_width", "blas", "processor", "numba", "llvmlite", "numpy")
WRITING = "pyarrow"  # which decides the bytes of every table, and says its version in them


def environment() -> dict[str, str]:
    """Versions of what computes, the CPU, its type as the compiler knows it, and the commit when this is a checkout."""
    return {**_versions(), "cpu": _cpu(), "processor": processor(), "simd_width": str(simd_width()), "blas": _blas(), **_program()}


def computing() -> dict[str, str]:
    """Of the environment what decides the last bit of every float: where these are equal, so are the vectors."""
    here = environment()
    return {name: here[name] for name in COMPUTING}


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: found for name in PACKAGES if (found := _version(name))}}


@cache
def _program() -> dict[str, str]:
    return {"system": platform.system(), "commit": _commit()}


@cache
def _blas() -> str:
    """Whose matrix products NumPy uses."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built['name']} {built['version']}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _cpu() -> str:
    """Model name of the CPU, and how wide its vectors are."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    fields = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    flags = fields.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "avx") if name in flags), "")
    return f"{fields.get('model name', platform.machine()).strip()} {widest}".strip()


def _commit() -> str:
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 - whichever git is installed
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()
