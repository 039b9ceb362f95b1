"""Pieces of a forecast in several threads."""

from collections.abc import Iterator

import pytest
import torch

from echocast.models import Lagrangian
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
