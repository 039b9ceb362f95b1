"""The fully connected LSTM with diagonal peepholes: a ConvLSTM without spatial dimensions.

>>> import torch
>>> layer = LSTM(4096, 2048, num_layers=2)
>>> sum(p.numel() for p in LSTM(3, 5, peephole=None).parameters())  # torch.nn.LSTM has a second bias: 20 more
180
"""

from collections.abc import Sequence
from typing import Unpack

from echocast.nn.convlstm import ConvLSTMCell
from echocast.nn.options import LSTMOptions
from echocast.nn.sequence import RecurrentLayers
from echocast.nn.settings import LayerSettings

_SPATIAL = frozenset(
    (
        "dims",
        "spatial_size",
        "input_kernel",
        "state_kernel",
        "stride",
        "dilation",
        "groups",
        "state_groups",
        "padding",
        "padding_mode",
    )
)


class LSTM(RecurrentLayers[ConvLSTMCell]):
    """The paper's FC-LSTM; without peepholes, `torch.nn.LSTM`.

    Args:
        input_size: features of the input; 0 for a first layer without input.
        hidden_size: features of the hidden state; a sequence has one number for each layer.
        num_layers, batch_first, bidirectional, dropout, gradient_checkpointing: see `ConvLSTM`.
        options: of the cells; a **list** has one value for each layer. ``peephole="channel"`` is the diagonal one.

    Raises:
        ValueError: options that do not go together, or a spatial one, named with their values.

    Source: Shi et al. 2015 (arXiv:1506.04214), equation 2, after Graves 2013 (arXiv:1308.0850).
    """

    cell_type = ConvLSTMCell
    size_names = ("input_size", "hidden_size")
    fixed_options = {"dims": 0, "input_kernel": (), "state_kernel": ()}  # noqa: RUF012  # never changed

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        *,
        num_layers: int | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
        **options: Unpack[LSTMOptions],
    ) -> None:
        spatial = [f"{k}={v!r}" for k, v in sorted(options.items()) if k in _SPATIAL or (k, v) == ("peephole", "pixel")]
        if spatial:
            raise ValueError(f"an LSTM has no spatial dimensions; leave out {', '.join(spatial)}")
        settings = LayerSettings(num_layers, batch_first, bidirectional, dropout, gradient_checkpointing)
        super().__init__(input_size, hidden_size, settings, options)
