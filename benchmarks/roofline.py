"""How near the skip-gram kernel comes to what this machine can do, and where the rest of the time goes; writes results/roofline.json.

    .venv/bin/python -m benchmarks.roofline

A kernel made of the same parts as `kernels.trainer` trains on random text with Zipf's frequencies, whole and with one part left out at
a time. Times are processor time of one thread. Before a time counts, the whole kernel equals the slow reference on a piece of the text.
"""

import functools
import json
import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.alias import build_alias, draw_alias
from kernels.draws import uniform64
from kernels.jit import inlined, kernel
from kernels.lanes import FLOAT, INT64, Lanes, simd_width
from kernels.tiles import address_rows, grade_window, prefetch_rows, score_window, update_window
from kernels.trainer import MOVE_INPUTS, MOVE_OUTPUTS, Kind
from kernels.vectors import fill_initial, new_vectors
from kernels.windows import MAX_CONTEXTS, Window, group_size, plane_floats
from pipeline.environment import environment
from tests.reference import windows as reference

WIDTH = simd_width()
MOVES = MOVE_INPUTS + MOVE_OUTPUTS
WORDS = {"in cache": 500, "all words": 70_000}
CASES = ((100, 5), (300, 5), (100, 20))
N_CENTRES, SENTENCE, RADIUS, RATE = 40_000, 40, 5, np.float32(0.025)
AHEAD, REPEATS = 2, 9
KEY = np.uint64(7)
PARTS = {"draws": 1, "scores": 2, "sigmoid and loss": 4, "updates": 8, "prefetch": 16}
EXACT = PARTS["scores"] | PARTS["sigmoid and loss"]  # without either, training would diverge
WHOLE = sum(PARTS.values())
AT_ONCE = 32  # ask for coming rows before the update, not within it


@inlined
def draw(drawn, tokens, first, last, n_outputs, threshold, other):  # type: ignore[no-untyped-def]
    """Put the outputs of the centres [first, last) into `drawn`, in place."""
    for centre in range(first, last):
        drawn[centre * n_outputs] = tokens[centre]
        for k in range(1, n_outputs):
            bits = uniform64(KEY, np.uint64(centre * (n_outputs - 1) + k - 1))
            drawn[centre * n_outputs + k] = draw_alias(bits, threshold, other)


@inlined
def set_signs(signs, drawn, centre, n_outputs, n_contexts, layout, sign):  # type: ignore[no-untyped-def]
    """Set the sign of noise that is the centre, in place."""
    size, plane = layout
    for j in range(1, n_outputs):
        if drawn[centre * n_outputs + j] == drawn[centre * n_outputs]:
            length = min(size, n_outputs - j // size * size)
            for c in range(n_contexts):
                signs[j // size * plane + c * length + j % size] = sign


@functools.cache
def training_kernel(n_outputs: int) -> Any:
    """The training loop for text whose sentences have one length; `parts` says which of its parts run."""
    n_coming = n_outputs + 1
    layout = group_size(n_outputs, WIDTH), plane_floats(n_outputs, WIDTH)

    @kernel
    def train(tokens, radius, inputs, targets, threshold, other, drawn, n_blocks, parts, signs, scores, loss, exponents):  # type: ignore[no-untyped-def]
        contexts, outputs = np.empty(MAX_CONTEXTS, np.int64), np.empty(n_outputs, np.int64)
        coming = np.empty(n_coming, np.int64)
        n_lines = (n_blocks * WIDTH + 15) // 16
        for centre in range(tokens.size):
            if parts & 1 and centre % 64 == 0:
                draw(drawn, tokens, centre, min(centre + 64 + AHEAD, tokens.size), n_outputs, threshold, other)
            start = centre - centre % SENTENCE
            first, last = max(start, centre - radius[centre]), min(start + SENTENCE, centre + radius[centre] + 1)
            n = last - first - 1
            address_rows(tokens, inputs, first, centre, contexts, 0)
            address_rows(tokens, inputs, centre + 1, last, contexts, centre - first)
            address_rows(drawn, targets, centre * n_outputs, (centre + 1) * n_outputs, outputs, 0)
            if parts & 2:
                score_window(contexts, n, outputs, scores, n_blocks, n_outputs, WIDTH)
            ahead = min(centre + AHEAD, tokens.size - 1)
            newest = min(ahead + RADIUS, tokens.size - 1)
            if parts & AT_ONCE or parts & 24 == 16:
                prefetch_rows(drawn, targets, ahead * n_outputs, (ahead + 1) * n_outputs, n_lines)
                prefetch_rows(tokens, inputs, newest, newest + 1, n_lines)
            if parts & 4:
                set_signs(signs, drawn, centre, n_outputs, n, layout, np.float32(0.0))
                grade_window(n, scores, signs, RATE, loss, exponents, n_outputs, WIDTH)
                set_signs(signs, drawn, centre, n_outputs, n, layout, np.float32(-1.0))
            if parts & 24 == 24:
                address_rows(drawn, targets, ahead * n_outputs, (ahead + 1) * n_outputs, coming, 0)
                address_rows(tokens, inputs, newest, newest + 1, coming, n_outputs)
                update_window(contexts, n, outputs, scores, n_blocks, n_outputs, WIDTH, MOVES, coming, n_coming)
            elif parts & 8:
                update_window(contexts, n, outputs, scores, n_blocks, n_outputs, WIDTH, MOVES, coming, 0)

    return train


class Run:
    """Text, vectors and scratch space of one case."""

    def __init__(self, n_words: int, n_dimensions: int, n_negatives: int, n_centres: int) -> None:
        rng = np.random.default_rng(1)
        frequency = 1.0 / (np.arange(WORDS["all words"], dtype=np.float64) + 2.7)
        frequency /= frequency.sum()
        kept = frequency * np.minimum(1.0, np.sqrt(1e-4 / frequency) + 1e-4 / frequency)
        self.n_outputs, self.n_dimensions, self.n_blocks = n_negatives + 1, n_dimensions, -(-n_dimensions // WIDTH)
        self.tokens = (rng.choice(len(kept), n_centres, p=kept / kept.sum()) % n_words).astype(np.int32)
        self.radius = rng.integers(1, RADIUS + 1, n_centres).astype(np.uint8)
        self.noise = build_alias(frequency[:n_words] ** 0.75)
        self.matrices = [new_vectors(n_words, n_dimensions) for _ in range(2)]
        for number, matrix in enumerate(self.matrices):
            fill_initial(matrix, n_dimensions, 0.5, np.uint64(number))
            np.multiply(matrix, np.float32(n_dimensions**0.5), out=matrix)
        size, plane = group_size(self.n_outputs, WIDTH), plane_floats(self.n_outputs, WIDTH)
        self.signs = np.full(-(-self.n_outputs // size) * plane, -1.0, np.float32)
        self.signs[: MAX_CONTEXTS * size : size] = 1.0
        self.scores = np.full(self.signs.size, 1e-4, np.float32)
        self.loss, self.exponents = np.repeat(np.array([0, 1], np.float32), WIDTH), np.zeros(WIDTH, np.int32)
        self.drawn = np.zeros(n_centres * self.n_outputs, np.int32)
        places = np.arange(n_centres) % SENTENCE
        self.n_contexts = float((np.minimum(self.radius, places) + np.minimum(self.radius, SENTENCE - 1 - places)).mean())
        self.start = [matrix.copy() for matrix in self.matrices]
        self.train(WHOLE)

    def train(self, parts: int) -> float:
        """Nanoseconds a centre."""
        space = (self.signs, self.scores, self.loss, self.exponents)
        self.scores[:] = 1e-4
        for matrix, start in zip(self.matrices, self.start, strict=True):
            np.multiply(start, parts & EXACT == EXACT, out=matrix)
        started = time.thread_time_ns()
        training_kernel(self.n_outputs)(self.tokens, self.radius, *self.matrices, *self.noise, self.drawn, self.n_blocks, parts, *space)
        elapsed_ns = time.thread_time_ns() - started
        if not all(np.isfinite(matrix).all() for matrix in self.matrices):
            raise SystemExit("training diverged")
        return elapsed_ns / len(self.tokens)


def validate(n_dimensions: int, n_negatives: int) -> None:
    """Stop unless the kernel gives the reference's vectors."""
    run = Run(WORDS["in cache"], n_dimensions, n_negatives, 5 * SENTENCE)
    inputs, outputs = truth = [matrix[:, :n_dimensions].astype(np.float64) for matrix in run.start]
    run.train(WHOLE)
    offsets = np.arange(0, len(run.tokens) + 1, SENTENCE)
    text, noise = (run.tokens, offsets, run.radius, 0), (run.noise[0], run.noise[1], int(KEY), np.zeros(0, np.float32), 1)
    rates = (float(RATE), float(RATE), 10**9)
    reference.train(text, 0, len(run.tokens), inputs, outputs, noise, rates, Kind(n_negatives))
    for matrix, wanted in zip(run.matrices, truth, strict=True):
        if not np.allclose(matrix[:, :n_dimensions], wanted, rtol=1e-4, atol=1e-5) or matrix[:, n_dimensions:].any():
            raise SystemExit(f"the kernel differs from the reference at {n_dimensions} dimensions and {n_negatives} negatives")


@intrinsic  # type: ignore[misc]
def multiply_add(_typing: Any, n_turns: Any) -> Any:
    """Twelve multiply-adds a turn that do not wait for each other."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        window = Window(builder, values[0], None, 1, WIDTH)
        places = window.variables(12)
        for i, place in enumerate(places):
            builder.store(ir.Constant(window.vector, [float(i)] * WIDTH), place)
        factor = Lanes(builder, window.splat(builder.sitofp(values[0], FLOAT)))
        with window.steps(values[0], 1):
            for place in places:
                window.add_product(place, factor.of(builder.load(place)), factor)
        total = functools.reduce(lambda a, b: a + b, [window.read(place) for place in places])
        return builder.extract_element(total.value, INT64(0))

    return types.float32(n_turns), generate


def peaks() -> dict[str, float]:
    """What one core can do, medians: multiply-adds of one register, and bytes read and written from memory in order, a nanosecond."""

    @kernel
    def multiply(n_turns: int) -> float:
        return multiply_add(n_turns)  # type: ignore[no-any-return, call-arg]

    @kernel
    def scale(values: np.ndarray[Any, Any], factor: np.float32) -> None:
        for i in range(values.size):
            values[i] *= factor

    n_turns, values = 10_000_000, np.ones(64 << 20, np.float32)
    multiply(1)
    scale(values, np.float32(1.0))
    found: dict[str, list[float]] = {"multiply_adds_per_ns": [], "stream_bytes_per_ns": []}
    for _ in range(REPEATS):
        started = time.thread_time_ns()
        multiply(n_turns)
        found["multiply_adds_per_ns"].append(12 * n_turns / (time.thread_time_ns() - started))
        started = time.thread_time_ns()
        scale(values, np.float32(1.0))
        found["stream_bytes_per_ns"].append(2 * values.nbytes / (time.thread_time_ns() - started))
    return {name: round(statistics.median(values), 2) for name, values in found.items()}


def work(run: Run, peak: dict[str, float]) -> dict[str, float]:
    """What a centre asks for, in registers and bytes, and the least time each kind of it can take, in ns."""
    n_contexts, n_outputs, n_blocks = run.n_contexts, run.n_outputs, run.n_blocks
    multiply_adds = 3 * n_contexts * n_outputs * n_blocks
    n_groups = -(-n_outputs // group_size(n_outputs, WIDTH))
    loads = n_contexts / 2 * (2 * n_groups + n_outputs)  # scores: tiles of two contexts
    if n_groups == 1:
        loads += n_contexts * (1 + n_outputs) + 2 * n_outputs
        stores = n_contexts + n_outputs
    else:  # two products: pairs of contexts by four blocks, then four contexts by two blocks
        loads += n_contexts * (n_outputs / 2 + n_outputs / 4 + 1) + n_contexts / 4 * n_outputs + n_contexts * (n_outputs / 2 + 1)
        stores = 2 * n_contexts + n_contexts / 4 * n_outputs
    new_rows_bytes = 2 * 64 * -(-run.n_dimensions // 16) * (1 + n_outputs)  # one context and all outputs, read and written
    cycle_ns = 2 / peak["multiply_adds_per_ns"]
    return {
        "contexts": round(n_contexts, 2),
        "flop": round(2 * n_contexts * n_outputs * 3 * run.n_dimensions),
        "multiply_adds": round(multiply_adds),
        "loads": round(loads * n_blocks),
        "stores": round(stores * n_blocks),
        "cache_bytes": round((loads + stores) * n_blocks * 4 * WIDTH),
        "memory_bytes": new_rows_bytes,
        "bound_multiply_adds_ns": round(multiply_adds / peak["multiply_adds_per_ns"], 1),
        "bound_loads_ns": round(loads * n_blocks / 2 * cycle_ns, 1),
        "bound_stores_ns": round(stores * n_blocks * cycle_ns, 1),
        "bound_memory_ns": round(new_rows_bytes / peak["stream_bytes_per_ns"], 1),
    }


def measure(n_dimensions: int, n_negatives: int, peak: dict[str, float]) -> dict[str, Any]:
    """The bounds of one case, its time, and what each part adds to it; medians of pairs one after the other."""
    validate(n_dimensions, n_negatives)
    result: dict[str, Any] = {"dimensions": n_dimensions, "negatives": n_negatives}
    for name, n_words in WORDS.items():
        run = Run(n_words, n_dimensions, n_negatives, N_CENTRES)
        result["work"] = work(run, peak)
        whole: list[float] = []
        at_once: list[float] = []
        saved: dict[str, list[float]] = {part: [] for part in PARTS}
        for _ in range(REPEATS):
            at_once.append(run.train(WHOLE - PARTS["prefetch"] + AT_ONCE))
            for part, bit in PARTS.items():
                whole.append(run.train(WHOLE))
                saved[part].append(whole[-1] - run.train(WHOLE - bit))
        result[name] = {
            "ns_a_centre": round(statistics.median(whole)),
            "ns_when_rows_are_asked_for_at_once": round(statistics.median(at_once)),
            "share_of_peak": round(result["work"]["bound_multiply_adds_ns"] / statistics.median(whole), 2),
            "saved_without": {part: round(statistics.median(times)) for part, times in saved.items()},
        }
    return result


def main() -> None:
    """Measure all cases and write the file."""
    peak = peaks()
    result = {
        "benchmark": "roofline of the skip-gram kernel: processor time of one thread, random text with Zipf's frequencies",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
        "versions": environment(),
        "width": WIDTH,
        "words": WORDS,
        "peak": peak,
        "cases": [measure(*case, peak) for case in CASES],
    }
    path = Path(__file__).parent / "results" / "roofline.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
