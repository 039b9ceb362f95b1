"""What is to be learned: each task draws inputs and what should come out, all of one length.

Symbols are numbers: 0 is padding, 1 and 2 are the bits zero and one, 3 is the plus sign.

    >>> import numpy as np
    >>> inputs, targets = addition(np.random.default_rng(10), 1, 3)
    >>> spelled(inputs[0]), spelled(targets[0])  # 3 + 6 = 9, lowest bits first
    ('110+011', '1001___')
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Int

PADDING, ZERO, PLUS, SYMBOLS = 0, 1, 3, 4

Pairs = tuple[Int[np.ndarray, "count length"], Int[np.ndarray, "count length"]]
Name = Literal["reverse", "addition"]


def reverse(rng: np.random.Generator, count: int, bits: int) -> Pairs:
    """Random bits, and the same backwards; both have length `bits`."""
    inputs = rng.integers(2, size=(count, bits)) + ZERO
    return inputs, inputs[:, ::-1].copy()


def addition(rng: np.random.Generator, count: int, bits: int) -> Pairs:
    """Two random numbers of `bits` bits with a plus sign between, and their sum; both have length ``2 bits + 1``.

    All numbers have their lowest bit first; the sum has ``bits + 1`` bits, and padding behind them.
    """
    first, second = rng.integers(2, size=(2, count, bits))
    plus = np.full((count, 1), PLUS)
    targets = np.full((count, 2 * bits + 1), PADDING)
    carry = np.zeros(count, int)
    for n in range(bits):
        total = first[:, n] + second[:, n] + carry
        targets[:, n], carry = total % 2 + ZERO, total // 2
    targets[:, bits] = carry + ZERO
    return np.concatenate([first + ZERO, plus, second + ZERO], axis=1), targets


TASKS: Mapping[str, Callable[[np.random.Generator, int, int], Pairs]] = {"reverse": reverse, "addition": addition}


def spelled(symbols: Int[np.ndarray, "length"]) -> str:
    """Symbols as text."""
    return "".join("_01+"[symbol] for symbol in symbols)
