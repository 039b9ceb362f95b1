"""Pieces of a forecast in several threads."""

from collections.abc import Iterator

import pytest
import torch

from echocast.context import Context
from echocast.models import Lagrangian, _coder
from echocast.models._lagrangian import threads

_CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("rows", "width"), [(slice(0, 7), 3), (slice(2, 5), 1 << 17), (slice(1, 2), 1 << 20)])
def test_pieces_are_all_rows_in_order(rows: slice, width: int) -> None:
    found = [row for piece in threads.pieces(rows, width) for row in range(piece.start, piece.stop)]
    assert found == list(range(rows.start, rows.stop))


@pytest.mark.usefixtures("two_threads")
def test_all_pieces_are_done_and_pytorch_has_its_threads_again() -> None:
    made = torch.zeros(100)
    within: set[int] = set()

    def work(at: int) -> None:
        made[at] += at
        within.add(torch.get_num_threads())

    with threads.in_threads(_CPU) as begin:
        for at in range(100):
            begin(work, at)
    assert torch.equal(made, torch.arange(100.0))
    assert (within, torch.get_num_threads()) == ({1}, 2)


@pytest.mark.usefixtures("two_threads")
def test_what_a_piece_raises_is_raised() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), threads.in_threads(_CPU) as begin:
        begin(fail)
    assert torch.get_num_threads() == 2


def test_members_are_the_same_in_one_thread_and_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_PIXELS", 100)
    model, past = Lagrangian(hidden_channels=[8, 8]).eval(), 20 * torch.rand(1, 3, 1, 33, 40)
    before, made = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            made.append(model.ensemble(past, 2, members=3))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0].nan_to_num(-1.0), made[1].nan_to_num(-1.0))


@pytest.mark.usefixtures("two_threads")
def test_results_come_in_order_and_only_a_few_are_ahead() -> None:
    begun: list[int] = []

    def work(at: int) -> int:
        begun.append(at)
        return at

    for at, made in enumerate(threads.in_order(_CPU, work, range(50), ahead=3)):
        assert made == at
        assert max(begun) <= at + 3
    assert len(begun) == 50
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_what_comes_in_order_raises_too_and_may_be_left() -> None:
    with pytest.raises(ZeroDivisionError):
        list(threads.in_order(_CPU, lambda at: 1 // (5 - at), range(50)))
    left = threads.in_order(_CPU, abs, range(50))
    next(left)
    left.close()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("by", [1, 4])
def test_a_forecast_is_the_same_in_one_thread_and_in_two(by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_PIXELS", 150)
    model = Lagrangian(hidden_channels=[8, 8], grid_km=4.0).eval()
    torch.nn.init.normal_(model.output.weight, std=0.1)
    past = 20 * torch.rand(1, 3, 1, 33, 40)
    past[..., 5:9, 7:30] = torch.nan
    before, made = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            made.append(model.forecast(past, 5, Context(grid_km=4.0 / by, time_step_minutes=5.0)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0].nan_to_num(-1.0), made[1].nan_to_num(-1.0))
    monkeypatch.setattr(threads, "_PIXELS", 1 << 18)  # all rows at once
    whole = model.forecast(past, 5, Context(grid_km=4.0 / by, time_step_minutes=5.0))
    torch.testing.assert_close(whole, made[0], rtol=1e-5, atol=1e-5, equal_nan=True)  # the ends of rows round otherwise


@pytest.mark.parametrize("size", [(9, 10), (52, 48)])  # the larger one takes the fused path
def test_hidden_states_step_by_step_are_those_of_all_steps(size: tuple[int, int]) -> None:
    encoder, forecaster = _coder.pair(3, [16, 16], input_kernel=3, state_kernels=3, forget_bias=1.0)
    frames = torch.rand(1, 4, 3, *size)
    with torch.no_grad():
        whole = _coder.unrolled(encoder, forecaster, frames, 3)
        steps = list(_coder.one_by_one(encoder, forecaster, frames, 3))
    for layer, states in enumerate(zip(*steps, strict=True)):
        torch.testing.assert_close(torch.stack(states, dim=1), whole[layer], rtol=1e-5, atol=1e-6)
