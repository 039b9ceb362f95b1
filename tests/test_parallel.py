"""Work shared among processes: order, laziness, errors, deaths, thread limits."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from echocast.errors import DataError, UnreadableFile
from echocast.parallel import Workers, parallel_map, thread_count, thread_limit

TWO = Workers(processes=2)


def slow_when_small(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0.0)
    return number * number


def process_of(_: int) -> int:
    return os.getpid()


def fail_at(limit: int, number: int) -> int:
    if number == limit:
        raise UnreadableFile(f"number {number} is not a file")
    return number


def die_at(limit: int, number: int) -> int:
    if number == limit:
        os._exit(9)
    return number


@pytest.mark.parametrize("workers", [Workers(processes=1), TWO])
def test_results_come_in_the_order_of_the_items(workers: Workers) -> None:
    assert list(parallel_map(slow_when_small, range(9), workers)) == [(n, n * n) for n in range(9)]
    assert list(parallel_map(slow_when_small, [], workers)) == []


def test_one_process_works_here_and_two_elsewhere() -> None:
    here = {pid for _, pid in parallel_map(process_of, range(3), Workers(processes=1))}
    assert here == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in parallel_map(process_of, range(3), TWO)}


def test_a_generator_is_asked_for_an_item_only_when_it_can_be_sent() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    found = parallel_map(slow_when_small, items(), TWO)
    next(found)
    assert len(asked) == 6  # two for each process, and two
    next(found)
    assert len(asked) == 7
    found.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(asked) == 7


@pytest.mark.parametrize("workers", [Workers(processes=1), TWO])
def test_an_error_comes_at_its_items_turn(workers: Workers) -> None:
    found = parallel_map(partial(fail_at, 2), range(50), workers)
    assert [next(found)[0], next(found)[0]] == [0, 1]
    with pytest.raises(UnreadableFile, match="number 2 is not a file"):
        next(found)


def test_a_process_that_dies_is_reported_with_the_items_in_work() -> None:
    with pytest.raises(UnreadableFile, match=r"\d.*: a process died while working on it.*--workers 1") as caught:
        list(parallel_map(partial(die_at, 3), range(6), TWO, error=UnreadableFile))
    assert "3" in str(caught.value)


def test_a_dask_scheduler_that_does_not_answer_is_an_error() -> None:
    pytest.importorskip("distributed", reason="distributed is not installed (extra dask)")
    with pytest.raises(DataError, match=r"--dask tcp://127.0.0.1:9: no scheduler answers"):
        list(parallel_map(process_of, [1], Workers(dask="tcp://127.0.0.1:9")))


def test_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert Workers(processes=3).count == 3
    assert Workers().count == (os.cpu_count() or 1)
    assert Workers(processes=3, dask="tcp://somewhere").count == 1
    assert thread_count() == (os.cpu_count() or 1)
    with thread_limit(3):
        assert thread_count() == 3
        with thread_limit(1):
            assert thread_count() == 1
        assert thread_count() == 3
    with pytest.raises(KeyError), thread_limit(7):
        raise KeyError
    assert thread_count() == (os.cpu_count() or 1)


PARENT = """
import os, sys, time
from echocast.parallel import Workers, parallel_map
def work(number):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    time.sleep(600)
if __name__ == "__main__":
    list(parallel_map(work, range(4), Workers(processes=2)))
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the processes are looked for in /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "pids")])
    wait_for(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    workers = [path.name for path in (tmp_path / "pids").iterdir()]
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(alive(pid) for pid in workers))


def alive(pid: str) -> bool:
    """Whether a process runs; one that ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: object, seconds: float = 120) -> None:
    """Until the condition holds, however busy the machine is."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.05)
