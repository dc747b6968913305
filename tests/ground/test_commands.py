"""A suggested command works when it is pasted into a shell."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from axiom.commands import suggest


@pytest.mark.parametrize("root", ["plain", "my arts", "it's; rm -rf x", "$HOME", "a::b", "-dash", "ü"])
def test_words_reach_the_program_as_they_are(root):
    said = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {suggest('resume', 'one', root=root)}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.splitlines()[1:] == ["resume", "one", "--root", root]


def test_the_root_is_left_out_where_the_command_would_look_there_anyway(monkeypatch):
    monkeypatch.delenv("AXIOM_ROOT", raising=False)
    assert "--root" not in suggest("list", root="artifacts")
    assert "--root" in suggest("list", root="elsewhere")
    monkeypatch.setenv("AXIOM_ROOT", "elsewhere")
    assert "--root" not in suggest("list", root="elsewhere")
    assert suggest("list", root="artifacts").endswith("--root artifacts")


def test_the_program_is_found_on_the_path_or_named_by_its_own(monkeypatch, tmp_path):
    ours = Path(sys.executable).parent / "axiom"
    monkeypatch.setenv("PATH", str(ours.parent))
    assert shlex.split(suggest("list"))[0] == "axiom"
    (tmp_path / "axiom").write_text("#!/bin/sh\n")  # another program of the name comes first
    (tmp_path / "axiom").chmod(0o755)
    for path in ("/nowhere", f"{tmp_path}:{ours.parent}"):
        monkeypatch.setenv("PATH", path)
        program = Path(shlex.split(suggest("list"))[0])
        assert program.resolve() == ours.resolve()
