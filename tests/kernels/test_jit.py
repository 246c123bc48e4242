"""One place compiles: the syntax trees of the kernels, and the settings that this place gives."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernels
from kernels.jit import FASTMATH, inlined, kernel

FOLDER = Path(kernels.__file__).parent
SOURCES = sorted(FOLDER.glob("**/*.py"))
COMPILERS = {"njit", "jit", "vectorize", "guvectorize", "stencil", "cfunc", "generated_jit", "overload"}


def imported(source):
    """Top-level packages that a source file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def used(source):
    """All names and attributes in a source file."""
    tree = ast.walk(ast.parse(source.read_text()))
    return {node.id if isinstance(node, ast.Name) else node.attr for node in tree if isinstance(node, ast.Name | ast.Attribute)}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_kernels__compile_in_one_place_only(source):
    if source.stem == "jit":
        assert used(source) & COMPILERS == {"njit"}
    else:
        assert not used(source) & COMPILERS
        assert ("intrinsic" in used(source)) == (source.stem == "tiles")
    assert ("numba" in imported(source)) == (source.stem in {"jit", "lanes", "tiles"})
    assert ("llvmlite" in imported(source)) == (source.stem in {"lanes", "windows"})


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_kernels__import_nothing_but_numpy_and_the_standard_library(source):
    assert imported(source) <= {"numpy", "numba", "llvmlite", "kernels", *sys.stdlib_module_names}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_kernels__never_raise(source):
    assert not any(isinstance(node, ast.Raise | ast.Assert) for node in ast.walk(ast.parse(source.read_text())))


def test_kernel__lets_infinities_and_nans_through():
    """A diverging run must be able to see its NaN."""
    assert not {"nnan", "ninf", "fast"} & FASTMATH
    is_nan = kernel(lambda x: x != x)
    assert is_nan(np.nan)
    assert not is_nan(np.inf)


def test_kernel__divides_by_zero_without_raising():
    assert kernel(lambda a, b: a / b)(1.0, 0.0) == np.inf


def test_inlined__can_be_called_by_a_kernel():
    double = inlined(lambda x: 2 * x)
    assert kernel(lambda x: double(x) + 1)(20) == 41


def test_kernel__leaves_the_cache_directory_of_others_alone():
    program = "import numba; before = numba.config.CACHE_DIR; import kernels.alias; assert numba.config.CACHE_DIR == before"
    subprocess.run([sys.executable, "-c", program], check=True)
