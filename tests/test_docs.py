"""What the documents name exists: commands, options, config keys, files and modules."""

import importlib
import re
from pathlib import Path

import pytest
import typer.main

from axiom.cli import app as cli
from axiom.config import all_keys

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not any(p.startswith(".") for p in path.relative_to(ROOT).parts)
)


@pytest.fixture(scope="module")
def commands():
    for name in cli.COMMAND_MODULES:
        importlib.import_module(f"axiom.cli.{name}")
    return typer.main.get_command(cli.app)


def code_of(text: str) -> str:
    """Indented blocks, fenced blocks and inline code."""
    fenced = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    indented = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    return "\n\n".join([*fenced, *indented, *re.findall(r"`([^`\n]+)`", text)])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_axiom_command_and_option_exists(document, commands):
    for line in code_of(document.read_text()).splitlines():
        for match in re.finditer(r"(?:^|[\s/])axiom ([a-z-]+)([^#]*)", line):
            name, rest = match[1], match[2]
            if not re.match(r"^\s*(\.venv/bin/)?(\S*/)?axiom ", line.lstrip("$ ")):
                continue
            assert name in commands.commands, f"{document.name}: {line}"
            command = commands.commands[name]
            words = rest.split()
            if hasattr(command, "commands") and words and words[0] in command.commands:
                command = command.commands[words[0]]
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            for option in re.findall(r"(?<=\s)(--[a-z][a-z-]*)", rest):
                assert option in known, f"{document.name}: {line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_key_that_is_set_exists(document):
    keys = all_keys()
    for key in re.findall(r"--set ([a-z_.]+)=", document.read_text()):
        assert key in keys or key == "section.key", f"{document.name}: {key}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_path_of_the_readmes_tree_exists():
    tree = re.search(r"## Extend\n\n[^\n]*\n\n((?:    .*\n)+)", (ROOT / "README.md").read_text())[1]
    folder = ""
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        names = re.findall(r"(?:^|\s{2,})([a-z_]+(?:\.py|/))(?=\s|$)", line)
        if indent == 4:
            folder = names[0]
            assert (ROOT / folder).exists(), folder
        else:
            for name in names:
                assert (ROOT / folder / name).exists(), f"{folder}{name}"
