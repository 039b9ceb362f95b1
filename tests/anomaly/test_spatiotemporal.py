"""The network of Chong and Tay against its published sizes, and time on the right axis."""

import pytest
import torch

from echocast.anomaly.spatiotemporal import SpatioTemporal


def test_the_sizes_of_the_paper() -> None:
    network, sizes = SpatioTemporal(), []
    for layer in (network.first, network.second, network.third, network.fourth):
        layer.register_forward_hook(lambda *given: sizes.append(tuple(given[2].shape[1:])))
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 1, 227, 227)).shape == (1, 1, 1, 227, 227)
    assert sizes == [(128, 55, 55), (64, 26, 26), (128, 55, 55), (1, 227, 227)]
    # by hand: convolutions 15,616 + 204,864, ConvLSTMs 295,168 + 110,720 + 221,440, back 204,928 + 15,489
    assert sum(weight.numel() for weight in network.parameters()) == 1_068_225


def test_a_frame_depends_on_the_frames_before_it_and_not_on_those_after() -> None:
    torch.manual_seed(0)
    network = SpatioTemporal(spatial_channels=(4, 4), temporal_channels=(4, 2, 4)).eval()
    levels = torch.rand(1, 5, 1, 35, 43)
    changed = levels.clone()
    changed[:, 2] = 0
    with torch.no_grad():
        same = (network(levels) - network(changed)).abs().amax(dim=(0, 2, 3, 4)) == 0
    assert same.tolist() == [True, True, False, False, False]


def test_dropout_is_for_training_alone() -> None:
    network = SpatioTemporal(spatial_channels=(4, 4), temporal_channels=(4, 2, 4), dropout=0.5)
    levels = torch.rand(1, 2, 1, 27, 27)
    assert not torch.equal(network.train()(levels), network(levels))
    assert torch.equal(network.eval()(levels), network(levels))


@pytest.mark.parametrize("wrong", [{"spatial_channels": (4,)}, {"temporal_channels": (4, 2)}, {"dropout": 1.0}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SpatioTemporal(**wrong)  # type: ignore[arg-type]
