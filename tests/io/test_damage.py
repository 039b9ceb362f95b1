"""What the one place that knows of damage makes of each exception, and what it lets through."""

import pickle
import struct
import zlib
from pathlib import Path

import pytest

from echocast.errors import DataError, EchocastError, GridMismatch, MissingDependency, UnreadableFile, WrongUnits
from echocast.io import damage


def raised(error: BaseException, where: str = "in/radar.h5") -> BaseException:
    with (
        pytest.raises(type(error) if isinstance(error, EchocastError) else BaseException) as caught,
        damage.named_errors(where, "odim"),
    ):
        raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [KeyError("what"), ValueError("no"), IndexError(3), OSError("short"), EOFError(), RuntimeError("HDF5"),
     OverflowError(), struct.error("4 bytes"), zlib.error("-3"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")],
)  # fmt: skip
def test_damage_becomes_an_unreadable_file_that_tells_the_cause(error: Exception) -> None:
    told = raised(error)
    assert type(told) is UnreadableFile
    assert str(told).startswith(f"in/radar.h5: cannot be read as odim ({type(error).__name__}")
    assert str(told).endswith("; is it whole? fetch it again")
    assert told.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [MemoryError(), NameError("x"), AttributeError("x"), TypeError("x"), ZeroDivisionError(), AssertionError(),
     RecursionError(), NotImplementedError(), ImportError("x"), KeyboardInterrupt()],
)  # fmt: skip
def test_mistakes_and_lack_of_memory_pass_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, damage.named_errors("in/radar.h5", "odim"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("kind", [DataError, UnreadableFile, WrongUnits, GridMismatch])
def test_own_errors_keep_their_class_and_gain_the_name_once(kind: type[EchocastError]) -> None:
    told = raised(kind("holds no rain"))
    assert type(told) is kind
    assert str(told) == "in/radar.h5: holds no rain"
    assert str(raised(told)) == "in/radar.h5: holds no rain"
    assert str(pickle.loads(pickle.dumps(told))) == "in/radar.h5: holds no rain"


def test_a_short_name_is_not_taken_for_a_word_of_the_message() -> None:
    assert str(raised(DataError("a forecast"), "a")) == "a: a forecast"


def test_a_missing_package_gains_the_name_too() -> None:
    told = raised(MissingDependency("eccodes", "grib"))
    assert str(told) == "in/radar.h5: eccodes is not installed; install it with: pip install 'echocast[grib]'"


def test_what_is_not_there_or_not_allowed_says_so() -> None:
    assert str(raised(FileNotFoundError(2, "x"))) == "in/radar.h5: no such file"
    assert "cannot be read (denied); check its permissions" in str(raised(PermissionError(13, "denied")))


def test_a_library_can_be_told_to_mean_damage() -> None:
    with pytest.raises(ValueError, match="TypeError: no such type"), damage.as_value_error(TypeError):
        raise TypeError("no such type")
    with pytest.raises(AttributeError), damage.as_value_error(TypeError):
        raise AttributeError


def test_errors_about_a_copy_name_the_original() -> None:
    with pytest.raises(WrongUnits, match=r"^s3://rain/a\.nc: in stones"), damage.renamed(
        Path("/tmp/x/a.nc"), "s3://rain/a.nc"
    ), damage.named_errors(Path("/tmp/x/a.nc"), "netcdf"):  # fmt: skip
        raise WrongUnits("in stones")
