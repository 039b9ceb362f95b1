"""Recurrent layers in the manner of `torch.nn.LSTM`: ConvLSTM, ConvGRU, LSTM, TrajGRU and ST-LSTM; patches.

>>> from echocast.nn import ConvLSTM
>>> ConvLSTM(1, [64, 64], batch_first=True).num_layers
2
"""

from echocast.nn.convgru import ConvGRU, ConvGRUCell
from echocast.nn.convlstm import ConvLSTM, ConvLSTMCell
from echocast.nn.lstm import LSTM
from echocast.nn.stlstm import STLSTM, STLSTMCell
from echocast.nn.storage import load, save
from echocast.nn.trajgru import TrajGRU, TrajGRUCell

__all__ = [
    "LSTM",
    "STLSTM",
    "ConvGRU",
    "ConvGRUCell",
    "ConvLSTM",
    "ConvLSTMCell",
    "STLSTMCell",
    "TrajGRU",
    "TrajGRUCell",
    "load",
    "save",
]
