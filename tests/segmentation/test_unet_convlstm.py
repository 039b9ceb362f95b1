"""The U-Net of ConvLSTMs against its equations, written once more in float64 and one after another."""

import torch
from tests.definitions import correlate, lstm_step, randomised
from torch import Tensor

from echocast.nn import ConvLSTM
from echocast.segmentation import UNet, UNetConvLSTM


def count(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_published_numbers_of_weights() -> None:
    assert count(UNetConvLSTM(channels=1)) == 271_551
    assert count(UNetConvLSTM(channels=3)) == 272_415


def test_without_recurrence_the_weights_are_about_as_many() -> None:
    assert abs(count(UNet(channels=3)) / count(UNetConvLSTM(channels=3)) - 1) < 0.03


def hard(x: Tensor) -> Tensor:
    return (0.2 * x + 0.5).clip(0, 1)


def block(layer: ConvLSTM, frames: list[Tensor]) -> list[Tensor]:
    for cell in layer.cells:
        h = c = frames[0].new_zeros(len(frames[0]), cell.hidden_channels, *frames[0].shape[2:])
        shown = []
        for frame in frames:
            h, c = lstm_step(frame, h, c, wx=cell.weight_x, wh=cell.weight_h, bias=cell.bias, gate=hard)
            shown.append(h)
        frames = shown
    return frames


def pooled(frame: Tensor) -> Tensor:
    return torch.stack([frame[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]).amax(0)


def twice(frame: Tensor) -> Tensor:
    return frame.repeat_interleave(2, -1).repeat_interleave(2, -2)


def convolved(layer: torch.nn.Module, frame: Tensor) -> Tensor:
    return correlate(layer.weight, frame) + layer.bias[:, None, None]


def test_it_is_the_published_network() -> None:
    network = randomised(UNetConvLSTM(channels=2, classes=3, width=2).double(), scale=0.4)
    frames = torch.rand(1, 2, 2, 4, 8, dtype=torch.float64)
    with torch.no_grad():
        first = block(network.fine, list(frames.unbind(1)))
        second = block(network.middle, [pooled(frame) for frame in first])
        third = block(network.coarse, [pooled(frame) for frame in second])
        for t, logits in enumerate(network(frames).unbind(1)):
            up = convolved(network.decoder.middle, torch.cat([second[t], twice(third[t])], 1))
            up = convolved(network.decoder.fine, torch.cat([first[t], twice(up)], 1))
            for layer in network.decoder.larger:
                up = convolved(layer, twice(up))
            assert up.shape == (1, 3, 16, 32)
            torch.testing.assert_close(logits, up, rtol=1e-9, atol=1e-9)


def test_the_first_weights_are_those_of_keras_1() -> None:
    cell = UNetConvLSTM().fine.cells[0]
    assert cell.bias.chunk(4)[1].tolist() == [1.0] * 12
    assert all(not part.any() for n, part in enumerate(cell.bias.chunk(4)) if n != 1)
    for gate in cell.weight_h.flatten(1).chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(12), rtol=0, atol=1e-5)


def test_frames_that_do_not_fit_are_filled_up_with_their_last_row_and_column() -> None:
    network = UNet(classes=2, upscale=2, width=3)
    frames = torch.rand(1, 1, 1, 6, 7)
    filled = torch.cat([frames, *[frames[..., -1:]]], -1)
    filled = torch.cat([filled, *[filled[..., -1:, :]] * 2], -2)
    torch.testing.assert_close(network(frames), network(filled)[..., :12, :14])
