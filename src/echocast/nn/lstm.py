"""The fully connected LSTM with diagonal peepholes: a ConvLSTM without space.

>>> import torch
>>> layer = LSTM(4096, 2048, num_layers=2)
>>> sum(p.numel() for p in LSTM(3, 5, peephole=None).parameters())  # torch.nn.LSTM has a second bias: 20 more
180
"""

from collections.abc import Sequence

from echocast.nn.convlstm import ConvLSTMCell
from echocast.nn.sequence import RecurrentLayers

_SPATIAL = {"dims", "grid", "input_kernel", "state_kernel", "stride", "dilation", "groups", "padding", "padding_mode"}


class LSTM(RecurrentLayers[ConvLSTMCell]):
    """The paper's FC-LSTM; without peepholes, `torch.nn.LSTM`.

    Args:
        input_size: features of the input; 0 for a first layer that has none.
        hidden_size: features of the hidden state; a sequence has one number for each layer.
        num_layers, batch_first, bidirectional, dropout, recompute: see `ConvLSTM`.
        options: of `ConvLSTMCell` but for those of space; ``peephole="channel"`` is the diagonal one.

    Source: Shi et al. 2015 (arXiv:1506.04214), equation 2, after Graves 2013 (arXiv:1308.0850).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        *,
        num_layers: int | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recompute: bool = False,
        **options: object,
    ) -> None:
        spatial = _SPATIAL & set(options) | {"peephole"} & {k for k, v in options.items() if v == "pixel"}
        if spatial:
            raise ValueError(f"an LSTM has no space; got {', '.join(f'{k}={options[k]!r}' for k in sorted(spatial))}")
        super().__init__(
            ConvLSTMCell,
            input_size,
            hidden_size,
            num_layers=num_layers,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout=dropout,
            recompute=recompute,
            options={**options, "dims": 0, "input_kernel": (), "state_kernel": ()},
        )
        for name in ("dims", "input_kernel", "state_kernel"):
            del self.arguments[name]
        self.arguments["input_size"] = self.arguments.pop("in_channels")
        self.arguments["hidden_size"] = self.arguments.pop("hidden_channels")
