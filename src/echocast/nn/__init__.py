"""Recurrent layers in the manner of `torch.nn.LSTM`: ConvLSTM, ConvGRU and LSTM; patches.

>>> from echocast.nn import ConvLSTM
>>> ConvLSTM(1, [64, 64], batch_first=True).num_layers
2
"""

from echocast.nn.convgru import ConvGRU, ConvGRUCell
from echocast.nn.convlstm import ConvLSTM, ConvLSTMCell
from echocast.nn.lstm import LSTM
from echocast.nn.storage import load, save

__all__ = ["LSTM", "ConvGRU", "ConvGRUCell", "ConvLSTM", "ConvLSTMCell", "load", "save"]
