"""Checkpoints by the texts that people write."""

from pathlib import Path

import pytest

import echocast
from echocast.models import EncoderForecaster


def test_a_checkpoint_is_saved_and_loaded_by_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    echocast.save(EncoderForecaster(hidden_channels=[2]), "mine.safetensors")
    loaded = echocast.load("mine.safetensors")
    assert isinstance(loaded, EncoderForecaster)
    assert list(loaded.hidden_channels) == [2]
