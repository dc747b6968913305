"""What the documents show works: commands parse, Python examples run, config keys, files and links exist."""

import doctest
import importlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import TypeAdapter

from axiom.cli import app as cli
from axiom.config import ExperimentConfig, all_keys
from tests.tables import every

ROOT = Path(__file__).parents[2]
FOLDERS = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in folder.rglob("*.md")))
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
INCLUDED = re.compile(r'^--8<-- "(.*)"$', re.MULTILINE)
"""A page of the site that is a file from elsewhere in the repository; that file is checked where it is."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def root_command() -> Any:
    for name in cli.COMMAND_MODULES:
        importlib.import_module(f"axiom.cli.{name}")
    return typer.main.get_command(cli.app)


def shown(text: str) -> list[str]:
    """Every `axiom ...` of a text: lines of its code blocks, continued ones joined, and its inline code."""
    prose = re.sub(r"```\w*\n.*?```", "", text, flags=re.DOTALL)
    fenced = re.findall(r"```(?:sh|bash|console|)\n(.*?)```", text, re.DOTALL)
    indented = re.findall(r"(?:^    .*\n)+", prose, re.MULTILINE)
    lines = "\n".join([*fenced, *indented]).replace("\\\n", " ").splitlines()
    inline = [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose)]
    found = (re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?axiom (\w.*)", line) for line in [*lines, *inline])
    return [match[1] for match in found if match]


def parse(command: Any, line: str, above: Any = None, name: str = "axiom") -> None:
    """Parse a shell's line as the command line does, without running it; a command's bare name is a mention of it."""
    words = shlex.split(re.split(r"\s\\?[|;>&]", line)[0], comments=True) if isinstance(line, str) else line
    context = command.make_context(name, list(words), parent=above, resilient_parsing=not words)
    if hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        if rest:
            inner, found, left = command.resolve_command(context, rest)
            parse(found, left, context, inner)


@every("document", DOCUMENTS, ids=name_of)
def test_every_command_line_parses(document, root_command):
    for line in shown(document.read_text()):
        try:
            parse(root_command, line)
        except cli._UsageError as error:
            raise AssertionError(f"{name_of(document)}: axiom {line}: {error}") from None


def test_the_parser_refuses_what_the_command_line_refuses(root_command):
    for line in (
        "nosuch",
        "run --nosuch",
        "run a b",
        "problems nosuch",
        "fork x --at x --experiment y",
        "bench nosuch",
    ):
        with pytest.raises(cli._UsageError):
            parse(root_command, line)


def test_the_example_of_each_commands_help_parses(root_command):
    waiting, examples = [root_command], 0
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        for line in re.findall(r"Example: axiom (.*)", command.help or ""):
            parse(root_command, line)
            examples += 1
    assert examples > 10


@every("document", DOCUMENTS, ids=name_of)
def test_every_key_that_is_set_exists(document):
    keys = all_keys()
    for key in re.findall(r"--set '?([a-z_.]+)=", document.read_text()):
        assert key in keys or key == "section.key", f"{name_of(document)}: {key}"


@every("document", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(document):
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text):
        assert (document.parent / target).exists(), f"{name_of(document)}: {target}"
    for target in INCLUDED.findall(text):
        assert (ROOT / target).exists(), f"{name_of(document)}: {target}"


@every("document", DOCUMENTS, ids=name_of)
def test_every_path_of_the_repository_that_is_named_exists(document):
    for path in re.findall(
        r"`((?:axiom|flows|tasks|tests|docs|deployments|artifacts)/[\w./*-]+)`", document.read_text()
    ):
        assert list(ROOT.glob(path.rstrip("/"))), f"{name_of(document)}: {path}"


WITH_PYTHON = [path for path in DOCUMENTS if re.search(r"^```py", path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("document", WITH_PYTHON, ids=name_of)
def test_every_python_example_runs_and_prints_what_it_shows(document, tmp_path, monkeypatch):
    """The examples of a page share their names; they run in a folder that has the published artifacts alone."""
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/reference").symlink_to(ROOT / "artifacts/reference")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    for kind, code in re.findall(r"^```(python|pycon)\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE):
        if kind == "python":
            exec(compile(code, str(document), "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(code, names, name_of(document), str(document), 0)
        assert test.examples
        failed: list[str] = []
        doctest.DocTestRunner().run(test, out=failed.append, clear_globs=False)
        assert not failed, "".join(failed)
        names = test.globs


def test_the_page_on_python_has_examples():
    assert ROOT / "docs/python.md" in WITH_PYTHON


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


PRIVATE = re.compile(r"\b(anew|strewn|sprinkled|sang|manieth|at hand|decks?|dealt|rings?)\b")
"""Words that earlier texts used in a sense of their own; docs/glossary.md has the terms."""


def descriptions(section: Any) -> list[str]:
    found = [f"{section.__name__}: {section.__doc__}"]
    for name, field in section.model_fields.items():
        inner = hasattr(field.annotation, "model_fields")
        found += descriptions(field.annotation) if inner else [f"{name}: {field.description or ''}"]
    return found


def helps(command: Any) -> list[str]:
    own = [command.help or "", *(getattr(parameter, "help", "") or "" for parameter in command.params)]
    return [*own, *(text for inner in getattr(command, "commands", {}).values() for text in helps(inner))]


def test_documents_help_and_settings_use_no_private_words(root_command):
    texts = [f"{name_of(path)}: {line}" for path in DOCUMENTS for line in path.read_text().splitlines()]
    texts += [*helps(root_command), *descriptions(ExperimentConfig)]
    assert len(texts) > 1000
    assert [text for text in texts if PRIVATE.search(text)] == []


def test_every_setting_has_a_description():
    assert [text for text in descriptions(ExperimentConfig) if text.endswith(": ")] == []


def settings_table(*keys: str) -> str:
    """Settings as a table of Markdown, from the schema: key, default and description."""
    lines = ["| setting | default | |", "|---|---|---|"]
    for key in keys:
        *sections, last = key.split(".")
        section: Any = ExperimentConfig
        for name in sections:
            section = section.model_fields[name].annotation
        for name, field in section.model_fields.items() if last == "*" else [(last, section.model_fields[last])]:
            default = json.dumps(
                TypeAdapter(Any).dump_python(field.get_default(call_default_factory=True), mode="json")
            )
            text = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `{'.'.join([*sections, name])}` | `{default}` | {text} |")
    return "\n".join(lines)


def test_the_settings_of_the_page_on_selection_are_those_of_the_schema():
    wanted = settings_table("sampling.allocation", "sampling.min_draws", "selection.*", "replay.*", "curriculum.*")
    found = (ROOT / "docs/selection.md").read_text().partition("## All settings\n\n")[2].strip()
    assert found == wanted, f"replace the table by:\n{wanted}"
