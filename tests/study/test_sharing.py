"""The daemon by which processes share a GPU: it is the block's own, ends with it, and is used only where it works."""

import os
from pathlib import Path

import pytest

from axiom.study.sharing import CONTROL, LOG, PIPE, kernels_together


@pytest.fixture
def calls(tmp_path, monkeypatch) -> Path:
    """Where a program in the place of the real one writes how it was called, and what it was told."""
    log, program = tmp_path / "calls", tmp_path / "bin" / CONTROL
    program.parent.mkdir()
    log.touch()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = -d ] || said=$(cat)\n'
        f'echo "$1$said ${{{PIPE}}} ${{CUDA_VISIBLE_DEVICES-all}}" >> {log}\nexit $STATUS\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("STATUS", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.delenv(PIPE, raising=False)
    return log


@pytest.mark.parametrize("works", [True, False])
def test_it_starts_for_every_gpu_and_ends_and_is_used_where_a_process_can_open_one(calls, monkeypatch, works):
    monkeypatch.setattr("axiom.study.sharing.OPENED", f"raise SystemExit({int(not works)})")
    with kernels_together() as environment:
        (started,) = calls.read_text().splitlines()
        word, folder, seen = started.split()
        assert (word, seen) == ("-d", "all")
        assert environment == ({PIPE: folder, LOG: folder} if works else {})
        assert Path(folder).is_dir()
    ended = calls.read_text().splitlines()[1:]
    assert ended == [f"quit -t 5 {folder} all"]
    assert not Path(folder).exists()


def test_it_ends_when_the_block_fails(calls):
    with pytest.raises(KeyboardInterrupt), kernels_together():
        raise KeyboardInterrupt
    assert "quit" in calls.read_text()


def test_one_that_does_not_start_is_not_used(calls, monkeypatch):
    monkeypatch.setenv("STATUS", "1")
    with kernels_together() as environment:
        assert environment == {}
    assert "quit" not in calls.read_text()


def test_somebodys_own_is_left_alone_and_none_is_needed(calls, monkeypatch):
    monkeypatch.setenv(PIPE, "/theirs")
    with kernels_together() as environment:
        assert environment == {}
    assert not calls.read_text()
    monkeypatch.delenv(PIPE)
    monkeypatch.setenv("PATH", "/nowhere")
    with kernels_together() as environment:
        assert environment == {}
