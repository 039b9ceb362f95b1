"""Shapes in the signatures of layers, which tests check and nothing else reads while it runs.

They are jaxtyping's types where it is installed. Without it they are the type of the array alone: the layers need
one package less.

>>> import torch
>>> def doubled(x: Float[torch.Tensor, "batch channel"]) -> Float[torch.Tensor, "batch channel"]:
...     return 2 * x
>>> tuple(doubled(torch.ones(2, 3)).shape)
(2, 3)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Int as Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ImportError:

        class Float:
            """An array of any shape, by its own type."""

            def __class_getitem__(cls, given: tuple[Any, str]) -> Any:
                return given[0]

        Bool = Int = Float
