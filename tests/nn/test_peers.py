"""What the tests of Keras' ConvLSTM2D and torchgeo's ConvLSTM check of their layers, checked of ours."""

from typing import Any

import pytest
import torch

from echocast.nn import ConvLSTM


def constant(layer: ConvLSTM) -> ConvLSTM:
    """The weights of Keras' test: input 0.01, state 0.02, bias 0.03, and 1 for the forget gate, as Keras has it."""
    cell = layer.cells[0]
    with torch.no_grad():
        cell.weight_x.fill_(0.01)
        cell.weight_h.fill_(0.02)
        cell.bias.fill_(0.03)
        cell.bias[cell.hidden_channels : 2 * cell.hidden_channels] = 1
    return layer


def test_values_that_keras_publishes() -> None:
    """The numbers of keras/src/layers/rnn/conv_lstm2d_test.py, `test_correctness`."""
    frames = torch.arange(480.0).reshape(2, 3, 4, 4, 5).movedim(-1, 2) / 100
    layer = constant(ConvLSTM(5, 2, padding="valid", peephole=None, batch_first=True))
    h, _ = layer.last_state(frames)
    expected = torch.tensor([
        [[0.48694518, 0.50237733], [0.5461202, 0.5598283]],
        [[0.8661607, 0.86909103], [0.8774414, 0.8800861]],
    ])  # fmt: skip
    for channel in range(2):
        torch.testing.assert_close(h[0, :, channel], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "size", "shape"),
    [({}, 4, (3, 5, 4, 4)), ({"padding": "valid", "recurrent_dropout": 0.5}, 8, (3, 5, 6, 6))],
)
def test_shapes_and_counts_of_keras_test(options: dict[str, Any], size: int, shape: tuple[int, ...]) -> None:
    layer = ConvLSTM(3, 5, peephole=None, batch_first=True, **options)
    frames = torch.rand(3, 2, 3, size, size)
    assert layer.last_state(frames)[0][0].shape == shape
    assert layer(frames)[0].shape == (shape[0], 2, *shape[1:])
    assert len(list(layer.parameters())) == 3


def test_stride_and_dilation_may_go_together_where_keras_refuses_them() -> None:
    layer = ConvLSTM(1, 1, input_kernel=3, stride=2, dilation=3)
    assert layer(torch.rand(2, 1, 1, 9, 9))[0].shape == (2, 1, 1, 5, 5)


@pytest.mark.parametrize(("hidden", "layers"), [([16], 1), ([16, 32], 2)])
def test_shapes_of_torchgeos_test(hidden: list[int], layers: int) -> None:
    layer = ConvLSTM(3, hidden, num_layers=layers, input_kernel=(3, 3), batch_first=True)
    outputs, (h_n, c_n) = layer.all_layers(torch.rand(1, 4, 3, 64, 64))
    assert [tuple(output.shape) for output in outputs] == [(1, 4, size, 64, 64) for size in hidden]
    assert len(h_n) == len(c_n) == layers


def test_a_kernel_of_too_few_numbers_is_refused_as_by_torchgeo() -> None:
    with pytest.raises(ValueError, match=r"input_kernel=\(3,\) has 1 numbers; 2 dimensions need 2"):
        ConvLSTM(3, 16, num_layers=2, input_kernel=[(1, 2), (3,)])
