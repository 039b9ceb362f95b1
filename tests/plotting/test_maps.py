"""Pictures that can be opened and show what they should."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tests import example_files

from echocast.plotting import animation, colours, maps, panels
from echocast.samples import tensors


def test_gif_shows_past_and_forecast_with_the_time_moving_on(tmp_path: Path) -> None:
    rain = example_files.field(example_files.blob(7, 40, 40))
    past, observed = rain[:4], rain[4:]
    forecast = tensors.to_forecast(torch.zeros(1, 3, 1, 40, 40), past)
    animation.to_gif(forecast, tmp_path / "f.gif", past=past, observed=observed)
    with Image.open(tmp_path / "f.gif") as gif:
        assert gif.n_frames == 7
        frames = []
        for number in range(7):
            gif.seek(number)
            frames.append(np.asarray(gif.convert("RGB"), int))
    wide = frames[0].shape[1]
    left, right = frames[-1][:, : wide // 3], frames[-1][:, wide // 2 : wide // 2 + wide // 3]
    assert (left.sum(axis=-1) < 600).sum() > (right.sum(axis=-1) < 600).sum() + 50  # it rains only where observed
    animation.to_gif(forecast, tmp_path / "g.gif", past=past)
    with Image.open(tmp_path / "g.gif") as single:
        assert single.size[0] < wide


def test_png_has_a_row_for_what_was_observed(tmp_path: Path) -> None:
    rain = example_files.field(example_files.blob(5, 30, 30))
    forecast = tensors.to_forecast(torch.ones(1, 2, 1, 30, 30), rain[:3])
    panels.to_png(forecast, tmp_path / "one.png", past=rain[:3])
    panels.to_png(forecast, tmp_path / "two.png", past=rain[:3], observed=rain[3:])
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert two.height > 1.5 * one.height


def test_an_ensemble_shows_its_mean_members_and_a_probability(tmp_path: Path) -> None:
    rain = example_files.field(example_files.blob(5, 30, 30))
    wet, dry = torch.full((1, 1, 2, 1, 30, 30), 2.0), torch.zeros(1, 1, 2, 1, 30, 30)
    panels.to_png(tensors.to_forecast(torch.ones(1, 2, 1, 30, 30), rain[:3]), tmp_path / "one.png", past=rain[:3])
    for name, members in (("none", [dry, dry]), ("all", [wet, wet])):
        made = tensors.to_forecast(torch.cat(members, dim=1), rain[:3])
        panels.to_png(made, tmp_path / f"{name}.png", past=rain[:3])
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "all.png") as four:
        assert four.height > 3 * one.height
        red = np.asarray(four.convert("RGB"), int)[3 * four.height // 4 :, four.width // 2 : 3 * four.width // 4]
    with Image.open(tmp_path / "none.png") as none:
        white = np.asarray(none.convert("RGB"), int)[3 * none.height // 4 :, none.width // 2 : 3 * none.width // 4]
    assert (red[..., 0] - red[..., 2]).mean() > (white[..., 0] - white[..., 2]).mean() + 40


def test_classes_darken_with_the_rain() -> None:
    norm, colormap = colours.rain_colours()
    drawn = colormap(norm(np.array([0.0, *colours.CLASSES_MM_H, 200.0]) + 0.01))
    lightness = drawn[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness[:-1]) < 0).all()


def test_probabilities_of_a_share_of_members_are_of_the_class_above() -> None:
    """Two of ten members are 20 %, which begins a class, in single precision as in double."""
    norm, _ = colours.probability_colours()
    for share in (0.05, 0.2, 0.4, 0.6, 0.8):
        assert norm(np.float32(share)) == norm(share) == norm(share + 0.01) == norm(share - 0.01) + 1


def test_one_frame_is_drawn_with_the_means_of_blocks(tmp_path: Path) -> None:
    rain = example_files.field(example_files.blob(2, 60, 40))
    maps.field_to_png(rain, tmp_path / "all.png")
    maps.field_to_png(rain, tmp_path / "small.png", pixels=20)
    with Image.open(tmp_path / "all.png") as fine, Image.open(tmp_path / "small.png") as coarse:
        assert all(picture.height > picture.width for picture in (fine, coarse))
        assert np.asarray(fine).tobytes() != np.asarray(coarse).tobytes()
