"""A model's text on its way to people and to other parsers: verdicts, files, terminal, report, study page."""

import dataclasses
import json
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from axiom.config import SandboxConfig, load_config
from axiom.experiment import Experiment
from axiom.records import Case, Event, Metric, Outcome, Problem, Sample, Verdict
from axiom.report import study as report, study_charts as charts
from axiom.report.page import page
from axiom.store import write_parquet
from axiom.study.compare import by_arm, compare_arms
from axiom.study.config import Reading
from axiom.values import decode
from axiom.verification import Candidate, Verifier
from axiom.visible import one_line, visible, visible_json
from tests.rows import metric_row
from tests.study.test_study import arms
from tests.tables import every

ATTACKS = {
    "terminal": "\x1b]0;title\x07\x1b[2J\x1b[31mred\x9b31m\x08\r\x0b\x0c\x7f\x84\x85",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;aGk=\x07",
    "nul": "a\x00b",
    "direction": "\u202egnp.exe\u202c\u2066a\u2069\u200f\u061c",
    "lines": "a\nb\r\nc\u2028d\u2029e",
    "markup": "[bold red]x[/] [/b] [link=http://evil.example]y[/link] :boom:",
    "html": "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)>\"'&lt;&#60;",
    "script": "</script><!--<script>",
    "comment": "--><!DOCTYPE x>]]><![CDATA[",
    "template": "{x} {0} {{y}} %s ${z}",
    "markdown": "| a | b |\n|---|---|\n![x](http://evil.example/p.png) [y](javascript:alert(1))\n```\n# T",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+cmd",
    "at": "@SUM(1)",
    "tab": "\t=1",
    "vega": "a.b[0]['c']\\\"datum",
    "long": "x" * 1_000_000,
    "wide": "\u0301" * 5000,
    "mark": "\ufeff",
}
RIGHT_TO_LEFT = {0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def unsafe(text, allowed="\n"):
    """The characters of `text` that command a terminal, end a line somewhere or turn it around."""
    return sorted(
        {
            sign
            for sign in set(text)
            if unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} or ord(sign) in {*RIGHT_TO_LEFT, 0xFEFF}
        }
        - set(allowed)
    )


ENDINGS = {
    "returned": "def f():\n    return {text!a}",
    "raised": "def f():\n    raise ValueError({text!a})",
    "named": "def f():\n    raise type({text!a}.replace('\\0', ''), (Exception,), {{}})()",
    "at import": "raise ValueError({text!a})",
    "left": "import sys\nsys.exit({text!a})",
    "in a key": "def f():\n    return {{{text!a}: 1}}",
    "printed": "print({text!a})\ndef f():\n    return 1",
    "shown": "class A:\n    def __repr__(self):\n        return {text!a}\n    __str__ = __repr__\n"
    "def f():\n    return A()",
    "surrogate": "def f():\n    raise ValueError({text!a} + chr(0xd800) + chr(0x202e))",
}


@pytest.fixture(scope="module")
def verdicts():
    """A verdict for each way in which a program can bring each text back, and for texts that are no programs."""
    candidates = [
        Candidate(f"{way} {name}", source.format(text=text), "f", (Case(args="[]", expected="1"),))
        for way, source in ENDINGS.items()
        for name, text in ATTACKS.items()
    ]
    candidates += [
        Candidate(f"{form} {name}", form.format(text), "f", (Case(args="[]", expected="1"),))
        for form in ("{}", "def f(\n{}", "def f():\n    x = {}\n", "f = '{}")
        for name, text in ATTACKS.items()
    ]
    with Verifier(SandboxConfig(workers=2, cpu_seconds=2)) as verifier:
        return list(verifier.verify(candidates))


def test_what_a_verdict_says_is_one_short_line_that_commands_nothing(verdicts):
    assert len(verdicts) == (len(ENDINGS) + 4) * len(ATTACKS)
    assert {verdict.outcome for verdict in verdicts} > {Outcome.WRONG_ANSWER, Outcome.RUNTIME_ERROR}
    for verdict in verdicts:
        assert unsafe(verdict.detail, allowed="") == [], verdict.candidate_id
        assert len(verdict.detail) < 3000, verdict.candidate_id
    said = " ".join(verdict.detail for verdict in verdicts)
    assert "\\x1b]52;c;aGk=\\x07" in said
    assert "\\u202egnp.exe" in said


def test_an_error_s_own_text_is_printed_visibly():
    from axiom.cli import app as cli

    with cli.errors.capture() as printed, pytest.raises(SystemExit):
        cli._end("error", f"no file {' '.join(ATTACKS.values())}!", 2)
    assert unsafe(printed.get(), allowed="\n") == []


@every("text", ATTACKS.values())
def test_escapes_change_only_what_commands(text):
    assert unsafe(visible(text), allowed="\n\t") == []
    assert unsafe(one_line(text), allowed="") == []
    written = visible_json(json.dumps({text: [text, "\ud800"]}, ensure_ascii=False))
    assert unsafe(written, allowed="") == []
    assert json.loads(written) == {text: [text, "\ud800"]}
    assert visible("Grüße, 好 → x\n\ty 🙂") == "Grüße, 好 → x\n\ty 🙂"


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_verdicts_in_every_format_are_read_back_by_any_parser(axiom, tmp_path, suffix):
    names = {f"{name}{text[:50]}": f"raise ValueError({text!a})" for name, text in ATTACKS.items()}
    rows = [
        {"candidate_id": name, "code": code, "entry_point": "f", "cases": [{"args": [], "expected": 1}]}
        for name, code in names.items()
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code, out, err = axiom("verify", "in.jsonl", "--out", f"out{suffix}")
    assert code == 0, err
    assert unsafe(out + err) == []
    path = tmp_path / f"out{suffix}"
    if suffix == ".parquet":
        found = pq.read_table(path).to_pylist()
    else:
        text = path.read_text("utf-8")
        assert unsafe(text) == []
        found = [json.loads(line) for line in text.splitlines()]
    assert [row["candidate_id"] for row in found] == list(names)
    assert {row["outcome"] for row in found} == {"runtime_error"}


@pytest.mark.slow
@every("name", ATTACKS)
@every("place", ["key", "id", "cases", "entry_point", "whole"])
def test_a_refusal_of_hostile_rows_commands_nothing(axiom, tmp_path, name, place):
    text = ATTACKS[name]
    row = {"candidate_id": "a", "code": "f = int", "entry_point": "f", "cases": [{"args": [], "expected": 0}]}
    row |= {"key": {text: 1}, "id": {"candidate_id": [text]}, "cases": {"cases": [text]}}.get(place, {})
    row |= {"entry_point": {"entry_point": [text]}}.get(place, {})
    line = "x" + text.replace("\n", " ").replace("\r", " ") if place == "whole" else json.dumps(row)
    (tmp_path / "in.jsonl").write_text(f"{line}\n", encoding="utf-8")
    code, out, err = axiom("verify", "in.jsonl", "--out", "out.jsonl")
    assert (code, out) == (2, ""), err
    assert unsafe(err) == []
    assert len(err) < 2000
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("value", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "1" * 100_000])
def test_json_of_any_depth_is_refused_or_read(axiom, tmp_path, value):
    row = '{"candidate_id": "a", "code": "f = int", "entry_point": "f", "cases": [{"args": [%s], "expected": 0}]}'
    (tmp_path / "in.jsonl").write_text(row % value + "\n", encoding="utf-8")
    code, _, err = axiom("verify", "in.jsonl", "--out", "out.jsonl")
    assert code == (0 if value[0] == "1" else 2)
    assert len(err) < 1000
    if code:
        with pytest.raises((ValueError, RecursionError)):
            decode(value)


# An experiment whose model wrote all that


def experiment_of(folder: Path, name: str, texts: list[str]) -> Experiment:
    """A finished iteration of which every text of a model and every verdict is hostile."""
    experiment = Experiment.create(str(folder), load_config(None, [f"name={name}", "iterations=1"]))
    experiment.save()
    problem = Problem(
        problem_id="p",
        family="rpn",
        variant="{}",
        difficulty=3,
        split="train",
        title="Title",
        description="Describe.",
        signature="f(x)",
        entry_point="f",
        shown=(),
        cases=(Case(args="[1]", expected="1"),),
        reference_solution="",
        input_data="[1]",
        expected_output="1",
    )
    for split in ("train", "val", "test"):
        write_parquet(experiment.folder.join("problems"), split, [problem] if split == "train" else [], Problem)
    rows = [
        metric_row(
            iteration=1,
            optimizer_step=1,
            split=split,
            family=family,
            value=0.5,
            low=0.4,
            high=0.6,
            n=10,
        )
        for split in ("train", "val")
        for family in (None, "rpn")
    ]
    write_parquet(experiment.folder, "metrics", rows, Metric)
    write_parquet(experiment.folder, "events", [], Event)
    samples = [
        Sample(
            sample_id=f"1:train:p:{number}",
            problem_id="p",
            iteration=1,
            purpose="train",
            index=number,
            completion=text,
            code=text,
            token_count=1,
            logprob=None,
            finish_reason="stop",
            seed=0,
            temperature=1.0,
            policy_version="base",
        )
        for number, text in enumerate(texts)
    ]
    verdicts = [
        Verdict(
            sample_id=sample.sample_id,
            outcome="runtime_error",
            cases_passed=0,
            cases_total=1,
            cpu_ms=1.0,
            wall_ms=1.0,
            detail=sample.code[:500],
        )
        for sample in samples
    ]
    place = experiment.folder.join("iterations/0001")
    write_parquet(place, "samples", samples, Sample)
    write_parquet(place, "verdicts", verdicts, Verdict)
    return experiment


class Tags(HTMLParser):
    """The tags of a page with their attributes, in order, and its text outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._inside = [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))
        self._inside = tag

    def handle_endtag(self, tag):
        self.tags.append((f"/{tag}", []))
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The page of a run whose model wrote a letter."""
    return Tags(page(experiment_of(tmp_path_factory.mktemp("calm"), "e", ["x"])))


@pytest.mark.slow
@every("name", ATTACKS)
def test_a_report_has_the_same_tags_whatever_a_model_writes(calm, tmp_path, name):
    text = ATTACKS[name]
    hostile = Tags(page(experiment_of(tmp_path / name, "e", [text])))
    assert hostile.tags == calm.tags
    assert unsafe(hostile.text, allowed="\n\t") == []
    assert visible(text).strip()[:100].split("\n")[0] in hostile.text


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - {"nul"}))
@pytest.mark.parametrize("stage", ["samples", "verdicts"])
def test_inspect_prints_every_text_without_its_commands(axiom, tmp_path, name, stage):
    experiment_of(tmp_path / "artifacts", "e", [ATTACKS[name]])
    code, out, err = axiom("inspect", "e", "--iteration", "1", "--stage", stage)
    assert code == 0, err
    assert unsafe(out, allowed="\n\t") == []


@pytest.mark.slow
def test_the_page_of_a_study_has_the_same_tags_whatever_its_names_are():
    def tags(title, rename):
        groups = by_arm(
            [
                dataclasses.replace(run, name=rename(run.name), kind=rename(run.kind))
                for runs in arms(3.0)
                for run in runs
            ]
        )
        found = compare_arms(groups, Reading())
        verdicts = [comparison.paragraph() for comparison in found]
        return Tags(report.page(title, groups, verdicts, charts.all_of(groups, found, "iteration", "val")))

    calm = tags("tiny", lambda name: name)
    for text in ("</svg></figure><script>alert(1)</script>", "a.b['c']<b>&amp;\"", "datum.x + 1"):
        hostile = tags(text, lambda name, text=text: name + text)
        names = [tag for tag, _ in hostile.tags]
        assert names == [tag for tag, _ in calm.tags]
        assert "script" not in names
        assert not any(
            key.startswith("on") or "javascript:" in (value or "") for _, a in hostile.tags for key, value in a
        )
