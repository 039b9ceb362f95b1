"""Vectors of 32-bit floats inside a kernel that is being built, and the functions that kernels need of them."""

import math
from typing import Any

import llvmlite.ir as ir

_I32 = ir.IntType(32)
_LARGE = 1e30


class Lanes:
    """A vector of 32-bit floats inside a kernel that is being built."""

    def __init__(self, value: Any, builder: Any, module: Any) -> None:
        self.value, self._builder, self._module = value, builder, module

    def _lift(self, other: "Lanes | float") -> Any:
        if isinstance(other, Lanes):
            return other.value
        return ir.Constant(self.value.type, [float(other)] * self.value.type.count)

    def _new(self, value: Any) -> "Lanes":
        return Lanes(value, self._builder, self._module)

    def __add__(self, other: "Lanes | float") -> "Lanes":
        return self._new(self._builder.fadd(self.value, self._lift(other)))

    def __sub__(self, other: "Lanes | float") -> "Lanes":
        return self._new(self._builder.fsub(self.value, self._lift(other)))

    def __rsub__(self, other: float) -> "Lanes":
        return self._new(self._builder.fsub(self._lift(other), self.value))

    def __mul__(self, other: "Lanes | float") -> "Lanes":
        return self._new(self._builder.fmul(self.value, self._lift(other)))

    def __truediv__(self, other: "Lanes | float") -> "Lanes":
        return self._new(self._builder.fdiv(self.value, self._lift(other)))

    def __rtruediv__(self, other: float) -> "Lanes":
        return self._new(self._builder.fdiv(self._lift(other), self.value))

    __radd__, __rmul__ = __add__, __mul__

    def call(self, intrinsic: str, *others: "Lanes | float") -> "Lanes":
        """An LLVM intrinsic such as ``fabs``, with this vector as its first argument."""
        kind = self.value.type
        name = f"llvm.{intrinsic}.v{kind.count}f32"
        function = self._module.globals.get(name) or ir.Function(
            self._module, ir.FunctionType(kind, [kind] * (1 + len(others))), name
        )
        return self._new(self._builder.call(function, [self.value, *map(self._lift, others)]))

    def times_plus(self, factor: "Lanes | float", term: "Lanes | float") -> "Lanes":
        """``self * factor + term``, rounded once."""
        return self.call("fma", factor, term)

    def power_of_two(self) -> "Lanes":
        """2 to these whole numbers, between -126 and 127."""
        whole = ir.VectorType(_I32, self.value.type.count)
        exponent = self._builder.add(self._builder.fptosi(self.value, whole), vector(_I32, 127, whole.count))
        bits = self._builder.shl(exponent, vector(_I32, 23, whole.count))
        return self._new(self._builder.bitcast(bits, self.value.type))


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)) to 2 units in the last place."""
    growth, scale = _exponential(0.0 - x)
    return 1.0 / (1.0 + (growth + scale))


def hard_sigmoid(x: Lanes, slope: float) -> Lanes:
    """clip(slope x + 1/2, 0, 1)."""
    return x.times_plus(slope, 0.5).call("maximum", 0.0).call("minimum", 1.0)


def hard_sigmoid_slope(value: Lanes, slope: float) -> Lanes:
    """The derivative of `hard_sigmoid` from its value: 0 at both ends."""
    return above_zero(value * (1.0 - value)) * slope


def above_zero(x: Lanes) -> Lanes:
    """1 where x is above 0 (by more than 1e-30), else 0; x is never below."""
    return (x * _LARGE).call("minimum", 1.0)


def tanh(x: Lanes) -> Lanes:
    """The hyperbolic tangent to 3 units in the last place, near zero too."""
    growth, scale = _exponential(x.call("fabs") * -2.0)
    minus_one = growth + (scale - 1.0)  # exp(-2 |x|) - 1, with nothing lost near zero
    return ((0.0 - minus_one) / (minus_one + 2.0)).call("copysign", x)


def _exponential(x: Lanes) -> tuple[Lanes, Lanes]:
    """Two numbers whose sum is exp(x): the second a power of two, the first small where x is."""
    x = x.call("maximum", -87.0).call("minimum", 87.0)  # these two let NaN through, as they should
    n = (x * (1 / math.log(2))).call("rint")
    # x - n log 2, the logarithm in two parts so that nothing of x is lost.
    r = n.times_plus(2.12194440e-4, n.times_plus(-0.693359375, x))
    series = r * (1 / math.factorial(7)) + 1 / math.factorial(6)
    for order in (5, 4, 3, 2):
        series = series.times_plus(r, 1 / math.factorial(order))
    scale = n.power_of_two()
    return (series * r).times_plus(r, r) * scale, scale


def vector(element: Any, value: int, lanes: int) -> Any:
    """A constant vector with the same whole number in every lane."""
    return ir.Constant(ir.VectorType(element, lanes), [value] * lanes)
