"""One place compiles: the syntax trees of the kernels, and the settings that this place gives."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import kernels
from kernels.jit import FASTMATH, exact, inlined, kernel
from kernels.lanes import simd_width
from kernels.trainer import N_TALLIES, trainer
from tests.kernels.training_cases import Case

FOLDER = Path(kernels.__file__).parent
SOURCES = sorted(FOLDER.glob("**/*.py"))
EMITTERS = {"cells", "lanes", "merge", "team", "tiles", "windows"}  # they emit LLVM IR
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
    if source.stem not in EMITTERS:
        assert "intrinsic" not in used(source)
        assert "llvmlite" not in imported(source)
        assert ("numba" in imported(source)) == (source.stem == "jit")


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


@exact
def returned_exactly(a, b):
    return (a + b) - b


@inlined
def returned_freely(a, b):
    return (a + b) - b


def test_exact__does_every_operation_although_its_caller_may_reorder():
    """By itself Numba hands the options of the caller down to a function that was given none."""
    one, large = np.float32(1.0), np.float32(2.0**26)
    assert kernel(lambda a, b: a * returned_exactly(a, b))(one, large) == 0.0
    assert kernel(lambda a, b: a * returned_freely(a, b))(one, large) == 1.0


def test_kernel__leaves_the_cache_directory_of_others_alone():
    program = "import numba; before = numba.config.CACHE_DIR; import kernels.alias; assert numba.config.CACHE_DIR == before"
    subprocess.run([sys.executable, "-c", program], check=True)


FACTORY = """
from kernels.jit import inlined, kernel

def term(factor):
    @inlined
    def product(x):
        return factor * x
    return product

def sum_kernel(factor, addend):
    product = term(factor)

    @kernel
    def total(x):
        return product(x) + addend
    return total
"""
PROGRAM = """
import collections
from kernels.jit import kernel
from factory import sum_kernel

found, stats = {}, collections.Counter()
for factor in (2, 3):
    for addend in (10, 20):
        made = sum_kernel(factor, addend)
        found[factor, addend] = made(7)
        stats["hits"] += sum(made.stats.cache_hits.values())
        stats["misses"] += sum(made.stats.cache_misses.values())
assert found == {(f, a): 7 * f + a for f in (2, 3) for a in (10, 20)}, found
print(stats["hits"], stats["misses"])
"""


def test_kernel__finds_closures_over_other_kernels_in_the_cache(tmp_path):
    """One function with four closures has four entries; a second process finds those that it asks for again, and compiles the others."""
    (tmp_path / "factory.py").write_text(FACTORY)
    environ = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": f"{tmp_path}{os.pathsep}{FOLDER.parent}"}

    def run(program):
        return subprocess.run([sys.executable, "-c", program], check=True, env=environ, capture_output=True, text=True).stdout.split()

    assert run(PROGRAM) == ["0", "4"]
    assert run(PROGRAM.replace("(2, 3)", "(2, 5)")) == ["2", "2"]


MERGERS = """
import sys
import numpy as np
from kernels.jit import kernel
from kernels.merge import row_merger

def merger(n_replicas):
    merge = row_merger(n_replicas)

    @kernel
    def merge_rows(replicas, model, scale):
        merge(replicas, model, scale, 0, 1)
    return merge_rows

for n_replicas in map(int, sys.argv[1:]):
    model = np.zeros((1, 16), np.float32)
    merger(n_replicas)(np.ones((n_replicas, 1, 16), np.float32), model, np.ones(1, np.float32))
    assert (model == n_replicas).all(), (n_replicas, model[0, 0])
"""


def test_kernel__is_not_mistaken_for_its_sibling_when_two_processes_compiled_them(tmp_path):
    """Numba numbers functions anew in every process: names from two caches can be the same."""
    (tmp_path / "mergers.py").write_text(MERGERS)
    environ = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(FOLDER.parent)}
    for arguments in (["3"], ["4"], ["3", "4"], ["4", "3"]):
        subprocess.run([sys.executable, str(tmp_path / "mergers.py"), *arguments], check=True, env=environ)


def test_inlined__leaves_no_call_in_the_walk_over_windows():
    """A call would count a reference to every array, in every window."""
    case = Case()
    walk = trainer(case.kind, simd_width())

    @numba.njit
    def train(text, matrices, targets, rates, tallies):
        walk(text, 0, 1, matrices[0], matrices[1], targets, rates, 16, tallies)

    train(case.text(), tuple(case.vectors()), case.targets(), case.rates(), np.zeros(N_TALLIES))
    (code,) = train.inspect_llvm().values()
    assert "@NRT_decref" in code
    assert not re.findall(r"call [^\n]*@_ZN7kernels", code)
