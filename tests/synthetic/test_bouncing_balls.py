"""Balls move as the published simulation has them, keep their energy, and are drawn by its formula."""

import math

import numpy as np
import pytest

from echocast import fields
from echocast.samples import segments
from echocast.synthetic import bouncing_balls

RADIUS, BOX = 1.2, 10.0


def simulated(x: list[list[float]], v: list[list[float]], frames: int, friction: bool) -> list[list[list[float]]]:
    """One sequence, ball by ball and number by number."""
    places = []
    for _ in range(frames):
        places.append([list(ball) for ball in x])
        for _ in range(2):
            for ball, speed in zip(x, v, strict=True):
                for axis in (0, 1):
                    ball[axis] += 0.5 * speed[axis]
            for ball, speed in zip(x, v, strict=True):
                if friction:
                    if ball[1] + RADIUS < BOX:
                        speed[1] += 0.003
                    for axis in (0, 1):
                        speed[axis] -= 0.005 * speed[axis]
                for axis in (0, 1):
                    if ball[axis] - RADIUS < 0:
                        speed[axis] = abs(speed[axis])
                    if ball[axis] + RADIUS > BOX:
                        speed[axis] = -abs(speed[axis])
            for i in range(len(x)):
                for j in range(i):
                    line = [x[i][axis] - x[j][axis] for axis in (0, 1)]
                    distance = math.hypot(*line)
                    if distance < 2 * RADIUS:
                        line = [part / distance for part in line]
                        a, b = (sum(p * q for p, q in zip(line, v[n], strict=True)) for n in (i, j))
                        for axis in (0, 1):  # equal masses exchange what they have along the line
                            v[i][axis] += line[axis] * (b - a)
                            v[j][axis] += line[axis] * (a - b)
    return places


@pytest.mark.parametrize("friction", [False, True])
def test_paths_are_those_of_a_plain_loop(friction: bool) -> None:
    place, velocity = bouncing_balls.paths(count=6, frames=60, friction=friction, seed=4)
    assert (np.linalg.norm(np.diff(velocity, axis=1), axis=-1) > 0.05).any(axis=(1, 2)).all(), "something was hit"
    for case in range(6):
        expected = simulated(place[case, 0].tolist(), velocity[case, 0].tolist(), 60, friction)
        np.testing.assert_allclose(place[case], expected, atol=1e-9)


def test_energy_is_kept_and_momentum_between_the_walls() -> None:
    place, velocity = bouncing_balls.paths(count=50, frames=100, seed=1)
    np.testing.assert_allclose((velocity**2).sum(axis=(2, 3)), bouncing_balls.SPEED**2, atol=1e-12)
    speed = np.abs(velocity).max()
    free = (place > RADIUS + 2 * speed) & (place < BOX - RADIUS - 2 * speed)  # too far from the wall to reach it
    change = np.abs(np.diff(velocity.sum(axis=2), axis=1))
    away = free.all(axis=2)[:, :-1]
    turned = np.abs(np.diff(velocity, axis=1)).max(axis=2)
    assert change[away].max() < 1e-12
    assert (turned[away] > 0.01).sum() > 100, "balls hit each other far from walls"
    assert change[~away].max() > 0.1


def test_balls_begin_apart_and_inside() -> None:
    place, _ = bouncing_balls.paths(count=300, frames=1, seed=2)
    first = place[:, 0]
    assert first.min() >= RADIUS
    assert first.max() <= BOX - RADIUS
    apart = np.linalg.norm(first[:, :, None] - first[:, None], axis=-1)[:, *np.triu_indices(3, 1)]
    assert apart.min() >= 2 * RADIUS


def test_gravity_and_drag_act() -> None:
    _, free = bouncing_balls.paths(count=40, balls=1, frames=2, seed=3)
    place, slowed = bouncing_balls.paths(count=40, balls=1, frames=2, friction=True, seed=3)
    falling = (place[:, 0, 0] > 2.5).all(axis=1) & (place[:, 0, 0] < 7.5).all(axis=1)
    down = free[falling, 1, 0, 1]
    np.testing.assert_allclose(slowed[falling, 1, 0, 1], ((down + 0.003) * 0.995 + 0.003) * 0.995, atol=1e-12)


@pytest.mark.parametrize(("style", "shape"), [("grey", (1, 30, 30)), ("colour", (3, 32, 32))])
def test_pixels_are_those_of_the_formula(style: bouncing_balls.Style, shape: tuple[int, ...]) -> None:
    drawn = bouncing_balls.sequences(style=style, count=3, frames=7, seed=5)
    balls = {"grey": 3, "colour": 2}[style]
    place, velocity = bouncing_balls.paths(count=3, frames=7, balls=balls, seed=5)
    assert drawn.shape == (3, 7, *shape)
    for case, frame, row, column in ((0, 0, 5, 6), (1, 3, 20, 11), (2, 6, 14, 25)):
        y, x = ((n + 0.5) * BOX / shape[-1] for n in (row, column))
        shapes = [math.exp(-((((x - bx) ** 2 + (y - by) ** 2) / RADIUS**2) ** 4)) for bx, by in place[case, frame]]
        tints = [[1.0] if style == "grey" else [vx + 0.5, 1.0, vy + 0.5] for vx, vy in velocity[case, frame]]
        for channel in range(shape[0]):
            brightness = sum(tint[channel] * part for tint, part in zip(tints, shapes, strict=True))
            assert drawn[case, frame, channel, row, column] == pytest.approx(min(1.0, brightness), abs=1e-5)
    assert drawn.max() > 0.5


def test_sets_are_fields_without_a_sequence_in_common() -> None:
    made = bouncing_balls.training_fields(count=4, validation_sequences=2, frames=6, style="colour")
    assert fields.check(made["train"], quantity="image").sizes == {"time": 24, "channel": 3, "y": 32, "x": 32}
    assert segments.segments(made["validation"]) == [slice(0, 6), slice(6, 12)]
    first = {field[0].values.tobytes() for field in made.values()}
    assert len(first) == 2
    assert len({bouncing_balls.part_seed(part) for part in bouncing_balls.COUNTS}) == 3
    grey = bouncing_balls.training_fields(count=1, validation_sequences=1, frames=3)["train"]
    drawn = bouncing_balls.sequences(count=1, frames=3, seed=bouncing_balls.part_seed("train"))
    np.testing.assert_allclose(grey.values, drawn[0, :, 0], atol=0.5 / 255 + 1e-6)


@pytest.mark.usefixtures("as_users_run")
def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(ValueError, match="style must be one of grey, colour; got 'green'"):
        bouncing_balls.sequences(style="green", count=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="with 9 balls; 1 to 6 balls fit"):
        bouncing_balls.paths(count=1, balls=9)
