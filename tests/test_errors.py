"""Errors come back whole from other processes."""

import pickle

from echocast.errors import MissingDependency


def test_a_missing_package_is_told_from_another_process_too() -> None:
    told = MissingDependency("pysteps", "pysteps")
    again = pickle.loads(pickle.dumps(told))
    assert type(again) is MissingDependency
    assert str(again) == str(told)
