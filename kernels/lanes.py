"""SIMD values as LLVM IR that reads as formulas: arithmetic, the sigmoid, and sums over lanes. It must not know what a window is."""

import os
from functools import cache
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils as _cgutils

cgutils: Any = _cgutils  # it has no annotations

WIDTH_VARIABLE = "CORPUS2VEC_SIMD_WIDTH"
FLOAT = ir.FloatType()
INT32 = ir.IntType(32)
INT64 = ir.IntType(64)

# 2**f for f in [-1/2, 1/2], degree 5, least maximal relative error (1.5e-7 once rounded to float32), lowest power first.
_EXP2 = (1.0, 0.6931469440460205, 0.24022120237350464, 0.05550713092088699, 0.009675541892647743, 0.001327647129073739)
_LOG2_E = 1.4426950408889634
_MAX_SCORE = 80.0  # exp(-80) is a normal float32


def simd_width() -> int:
    """Floats in one SIMD register of this machine: 16, 8 or 4. The variable CORPUS2VEC_SIMD_WIDTH overrides it."""
    forced = os.environ.get(WIDTH_VARIABLE, "")
    if forced in {"4", "8", "16"}:
        return int(forced)
    return _widest()


def processor() -> str:
    """The type of processor that kernels are compiled for, as LLVM names it; NUMBA_CPU_NAME overrides it."""
    return os.environ.get("NUMBA_CPU_NAME", "") or _name()


@cache
def _widest() -> int:
    """LLVM takes 0.3 ms to say it, and every manifest has it."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f", False):
        return 16
    return 8 if features.get("avx2", False) and features.get("fma", False) else 4


@cache
def _name() -> str:
    return str(llvmlite.binding.get_host_cpu_name())


class Lanes:
    """A SIMD value (or a scalar) whose operators emit instructions, so that formulas below read as formulas."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def of(self, value: Any) -> "Lanes":
        """Another value of the same builder."""
        return Lanes(self.builder, value)

    def splat(self, number: float) -> "Lanes":
        """A constant of the same shape as this value."""
        return self.of(ir.Constant(self.value.type, [number] * self.value.type.count))

    def __add__(self, other: "Lanes") -> "Lanes":
        return self.of(self.builder.fadd(self.value, other.value))

    def __sub__(self, other: "Lanes") -> "Lanes":
        return self.of(self.builder.fsub(self.value, other.value))

    def __mul__(self, other: "Lanes") -> "Lanes":
        return self.of(self.builder.fmul(self.value, other.value))

    def __truediv__(self, other: "Lanes") -> "Lanes":
        return self.of(self.builder.fdiv(self.value, other.value))

    def times_plus(self, factor: "Lanes", addend: "Lanes") -> "Lanes":
        """The value times a factor plus an addend, fused where the machine can: `llvm.fma` would be a slow library call elsewhere."""
        kind = self.value.type
        name = f"llvm.fmuladd.v{kind.count}f32"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return self.of(self.builder.call(function, [self.value, factor.value, addend.value]))

    def where(self, comparison: str, other: "Lanes", yes: "Lanes", no: "Lanes", *, if_nan: bool = False) -> "Lanes":
        """`yes` in the lanes where the comparison with `other` holds, else `no`; a NaN counts as `if_nan`."""
        compare = self.builder.fcmp_unordered if if_nan else self.builder.fcmp_ordered
        return self.of(self.builder.select(compare(comparison, self.value, other.value), yes.value, no.value))

    def bits(self) -> Any:
        """The same bits as integers."""
        return self.builder.bitcast(self.value, ir.VectorType(INT32, self.value.type.count))

    def of_bits(self, bits: Any) -> "Lanes":
        """Integers read as the bits of floats."""
        return self.of(self.builder.bitcast(bits, self.value.type))

    def pick(self, other: "Lanes", lanes: list[int]) -> "Lanes":
        """The named lanes of self followed by other."""
        mask = ir.Constant(ir.VectorType(INT32, len(lanes)), lanes)
        return self.of(self.builder.shuffle_vector(self.value, other.value, mask))


def integers(like: Any, number: int) -> Any:
    """An integer in as many lanes as a value has."""
    return ir.Constant(ir.VectorType(INT32, like.type.count), [number] * like.type.count)


def _exp(power: Lanes) -> Lanes:
    """exp(power) for power in [-80, 0]; relative error below 3e-7 * (1 - power), so absolute error below 3e-7."""
    builder = power.builder
    log2_e = power.splat(_LOG2_E)
    # Through integers: Numba lets every float operation reassociate, so adding and subtracting 1.5 * 2**23 would not round.
    whole = builder.fptosi(power.times_plus(log2_e, power.splat(-0.5)).value, integers(power.value, 0).type)
    x = power.times_plus(log2_e, power.of(builder.sitofp(builder.neg(whole), power.value.type)))
    # Pairs of coefficients do not wait for each other, as they would in Horner's scheme.
    low, middle, high = (x.times_plus(x.splat(_EXP2[i + 1]), x.splat(_EXP2[i])) for i in (0, 2, 4))
    square = x * x
    fraction = square.times_plus(square.times_plus(high, middle), low)
    return fraction.of_bits(builder.add(fraction.bits(), builder.shl(whole, integers(whole, 23))))


def logistic_loss(score: Lanes, sign: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """The gradient of log sigma(sign * score) after the score, and the two parts of -log sigma(sign * score) = excess + log(factor).

    A lane of sign 0 has gradient 0, excess 0 and factor 1. A NaN goes on into the excess.
    """
    zero, one, least = score.splat(0.0), score.splat(1.0), score.splat(-_MAX_SCORE)
    margin = score * sign
    negative = score.of_bits(score.builder.or_(margin.bits(), integers(margin.value, -(1 << 31))))
    decay = _exp(negative.where(">", least, negative, least))
    error = margin.where(">=", zero, decay, one) / (one + decay)
    excess = margin.where("<", zero, zero - margin, zero, if_nan=True)
    return sign * error, excess, sign.where("!=", zero, one + decay, one)


def lane_sums(vectors: list[Lanes], width: int) -> list[Lanes]:
    """The sum over the lanes of each vector, in order, `width` sums to a vector, by a tree of shuffles that serves all of them at once."""
    vectors = vectors + [vectors[0].splat(0.0)] * (-len(vectors) % width)
    quads = range(0, width, 4)
    steps = [
        [[q + a + b for q in quads for b in (0, 1, width, width + 1)] for a in (0, 2)],
        [[q + a + b for q in quads for b in (0, 2, width, width + 2)] for a in (0, 1)],
    ]
    if width >= 8:
        half = width // 2
        steps.append([[*range(a, a + half), *range(width + a, width + a + half)] for a in (0, half)])
    if width == 16:
        steps.append([[a + b + c for b in (0, 8, 16, 24) for c in range(4)] for a in (0, 4)])
    for low, high in steps:
        vectors = [a.pick(b, low) + a.pick(b, high) for a, b in zip(vectors[0::2], vectors[1::2], strict=True)]
    return vectors


def prefetch(builder: Any, pointer: Any) -> None:
    """Ask for the cache line at a pointer, to be written soon."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.bitcast(pointer, byte), INT32(1), INT32(3), INT32(1)])
