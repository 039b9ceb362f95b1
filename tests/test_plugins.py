"""The folder is the registry."""

import pytest

from echocast import plugins


def test_names_are_the_modules_of_a_folder() -> None:
    assert {"fmi_pgm", "knmi", "mch_gif", "netcdf"} <= set(plugins.names("echocast.io.readers"))
    assert "base" not in plugins.names("echocast.models")


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'netcdf'"):
        plugins.load("echocast.io.readers", "netcfd")


def make(*, size: int, name: str = "a", ratios: tuple[float, ...] = (1.0,)) -> tuple[int, str, tuple[float, ...]]:
    return size, name, ratios


def test_construct_checks_keys_and_values() -> None:
    assert plugins.construct(make, {"size": 3, "ratios": [1, 2]}, where="[t]") == (3, "a", (1.0, 2.0))
    with pytest.raises(ValueError, match=r"\[t\] has no key 'nam'; did you mean 'name'"):
        plugins.construct(make, {"size": 3, "nam": "b"}, where="[t]")
    with pytest.raises(ValueError, match=r"\[t\] size = 'three'"):
        plugins.construct(make, {"size": "three"}, where="[t]")
    with pytest.raises(ValueError, match=r"\[t\] size.*required"):
        plugins.construct(make, {}, where="[t]")
