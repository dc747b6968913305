"""The extractor: golden completions judged in the sandbox, every form with every program and prose, linear work."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from axiom.config import SandboxConfig
from axiom.extraction import by_all_rules, extract_code, given as given_names, parsing
from axiom.extraction.definitions import definition, may_define
from axiom.extraction.shortcut import one_block
from axiom.sampling.prompts import fenced
from axiom.verification import Candidate, Verifier
from tests.extraction.golden import golden
from tests.tables import every

GOLDEN = list(golden())
REAL = [json.loads(line) for line in (Path(__file__).parent / "completions.jsonl").read_text("utf-8").splitlines()]
GOOD = "def f(x):\n    return x + 1"


@pytest.fixture(scope="module")
def verdicts():
    codes = {one.name: extract_code(one.completion, one.entry_point) for one in GOLDEN}
    candidates = [Candidate(one.name, codes[one.name], one.entry_point, one.cases) for one in GOLDEN]
    with Verifier(SandboxConfig(workers=2)) as verifier:
        return {found.candidate_id: found for found in verifier.verify(candidates)}


def test_there_are_enough_golden_completions_of_enough_kinds():
    assert len(GOLDEN) >= 150
    assert len({one.name.partition("/")[0] for one in GOLDEN}) >= 25
    assert len({one.name for one in GOLDEN}) == len(GOLDEN)


@every("one", GOLDEN, ids=lambda one: one.name)
def test_a_golden_completion_gets_the_verdict_of_a_careful_reader(one, verdicts):
    found = verdicts[one.name]
    assert found.outcome == one.outcome, f"{found.detail}\n{extract_code(one.completion, one.entry_point)}"


@every("one", GOLDEN, ids=lambda one: one.name)
def test_extracting_again_changes_nothing(one):
    code = extract_code(one.completion, one.entry_point)
    if one.outcome == "passed":
        assert extract_code(code, one.entry_point) == code
        assert extract_code(fenced(code), one.entry_point) == code


def test_there_are_enough_real_completions():
    assert len(REAL) >= 40
    assert len({row["model"] for row in REAL}) >= 3  # as published, and as early and late rounds of training made it
    assert len({row["temperature"] for row in REAL}) >= 4
    assert len({row["completion"] for row in REAL}) == len(REAL)


@every("row", REAL)
def test_real_completions_give_the_code_on_record(row):
    code = extract_code(row["completion"], row["entry_point"])
    assert code == row["code"]
    if row["defines"]:
        assert any(getattr(node, "name", "") == row["entry_point"] for node in ast.parse(code).body)


# Every form around every program and any prose

PARTS = [
    "import operator",
    "K = 0\nfor i in (1, 2):\n    K += i",
    "import sys\nsys.setrecursionlimit(5000)",
    'TAGS = ["</s>", "<|end|>", "<think>", "</think>"]',
    "TABLE = {\n    1: 'one',\n\n    2: 'two',\n}\nTABLE[3], rest = 'three', 4",
    'def helper(x):\n    """Do it.\n\n    ```\n    helper(1)\n    ```\n    """\n    return x',
    "class Box:\n    size = 3\n\n    def get(self):\n        return self.size",
    "try:\n    import json\nexcept ImportError:\n    json = None",
    "with open.__class__ and __import__('contextlib').suppress(KeyError):\n    pass",
    "# a comment",
    "while False:\n    pass\nelse:\n    w = 2",
    "import functools\n\n\n@functools.cache\ndef cached(x):\n    # nothing\n\n    return x",
    "async def later():\n    return 1",
    "QUOTES = '“' \"it's\"",
    "assert True, 'never (seen'",
]
LAST = [
    "def f(x):\n    return x + 1",
    'def f(x: int) -> int:\n    """Add one: f(1) is 2."""\n\n    if x:\n        return x + 1\n    return 1',
    "f = lambda x: x + 1",
    "class A:\n    def f(self, x):\n        return x + 1\n\n\nf = A().f",
    "def g(x):\n    return x + 1\n\n\nf = g",
    "if True:\n    def f(x):\n        return x + 1\nelse:\n    f = None",
    "def f(x):\n    return x + 1\n\n\nif __name__ == '__main__':\n    print(f(1))",
    "def f(x):\n    return x + 1\n\n\nprint(f(1))\nassert f(1) == 2",
    "def f(x):\n    text = '''\n  \n```\n'''\n    return x + 1",
]
PROSE = [
    "Sure! Here is the function:",
    "It isn't hard, I'm sure :)",
    "Explanation",
    "The function `f(x)` returns x + 1.",
    "- It adds one.",
    "* input",
    "1. Call it.",
    "Time complexity: O(n)",
    "Note: x",
    "## Solution",
    "**Answer**",
    "f(2) -> 3",
    "好的，下面是代码：",
    "A list (of numbers",
    "Let a = b, then c.",
    "",
]
PROGRAMS = st.tuples(st.lists(st.sampled_from(PARTS), unique=True, max_size=4), st.sampled_from(LAST)).map(
    lambda parts: "\n\n".join([*parts[0], parts[1]])
)
PROSES = st.lists(st.sampled_from(PROSE), max_size=4).map("\n\n".join)
DRAFT = "def f(x):\n    return 'draft'"


def indented(text, by):
    return "\n".join(by + line if line.strip() else line for line in text.split("\n"))


def prompted(code):
    lines = code.split("\n")
    starts = {node.lineno for node in ast.parse(code).body} | {
        item.lineno for node in ast.parse(code).body for item in getattr(node, "decorator_list", [])
    }
    return "\n".join((">>> " if number in starts else "... ") + line for number, line in enumerate(lines, 1))


INNER = {
    "python": lambda p: f"```python\n{p}\n```",
    "no language": lambda p: f"```\n{p}\n```",
    "title": lambda p: f'```python title="a.py" {{1,2}}\n{p}\n```',
    "pandoc": lambda p: f"```{{.python .numberLines}}\n{p}\n```",
    "capital": lambda p: f"```Python3\n{p}\n```",
    "tildes": lambda p: f"~~~py\n{p}\n~~~",
    "five": lambda p: f"`````python\n{p}\n`````",
    "markdown": lambda p: f"`````md\n# Text\n\n````python\n{p}\n````\n`````",
    "after a colon": lambda p: f"Code: ```python\n{p}\n```",
    "answer": lambda p: f"<answer>\n```python\n{p}\n```\n</answer>",
    "code tag": lambda p: f"<code>\n{p}\n</code>",
    "bare": lambda p: p,
    "list": lambda p: "1. Do this:\n\n" + indented(f"```python\n{p}\n```", "   "),
    "quote": lambda p: "\n".join(("> " + line).rstrip(" ") for line in f"```python\n{p}\n```".split("\n")),
    "draft before": lambda p: f"```python\n{DRAFT}\n```\n\nBetter:\n\n```python\n{p}\n```",
    "mistake after": lambda p: f"```python\n{p}\n```\n\nA common mistake:\n\n```python\n{DRAFT}\n```",
    "usage before": lambda p: f"```python\nr = f(1)\n```\n\n```python\n{p}\n```",
    "usage after": lambda p: f"```python\n{p}\n```\n\n```python\nprint(f(int(input())))\n```",
    "numbers": lambda p: "```\n" + "\n".join(f"{n:3} {line}" for n, line in enumerate(p.split("\n"), 1)) + "\n```",
    "diff": lambda p: "```diff\n@@ -0,0 +1 @@\n" + indented(p, "+").replace("\n\n", "\n+\n") + "\n```",
    "doctest": lambda p: f"```python\n{prompted(p)}\n```",
}
OUTER = {
    "as it is": lambda t: t,
    "think": lambda t: f"<think>\n```python\n{DRAFT}\n```\n</think>\n\n{t}",
    "thinking": lambda t: f"<thinking>{DRAFT}\n</thinking>\n{t}",
    "opened before": lambda t: f"Let me see.\n\n{DRAFT}\n</think>\n\n{t}",
    "magistral": lambda t: f"[THINK]\n```python\n{DRAFT}\n[/THINK]\n{t}",
    "harmony": lambda t: (
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>\n{t}"
    ),
    "end of turn": lambda t: f"{t}\n<|im_end|>\n<|im_start|>user\n{DRAFT}",
    "thoughts behind": lambda t: f"{t}\n\n<think>\n{DRAFT}\n</think>",
}
WRAPPED = {
    "as it is": lambda t: t,
    "crlf": lambda t: t.replace("\n", "\r\n"),
    "bom": lambda t: "\ufeff" + t,
    "json": lambda t: json.dumps({"thought": "no", "answer": t}),
    "tool call": lambda t: (
        "<tool_call>\n" + json.dumps({"name": "python", "arguments": {"code": t}}) + "\n</tool_call>"
    ),
}
CHANGES_STRINGS = {"list", "quote", "numbers", "diff", "doctest"}
"""Forms that put something in front of each line, so that lines inside a string may lose spaces."""


@given(PROGRAMS, PROSES, PROSES, *(st.sampled_from(sorted(forms)) for forms in (INNER, OUTER, WRAPPED)))
def test_wrapping_a_program_in_any_form_and_any_prose_gives_it_back(program, before, after, inner, outer, wrapped):
    if inner in CHANGES_STRINGS and "'''" in program:
        return
    text = "\n\n".join(filter(None, [before, INNER[inner](program), after]))
    code = extract_code(WRAPPED[wrapped](OUTER[outer](text)), "f")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(program)), code


SHORTCUT_TEXTS = st.lists(
    st.sampled_from(
        [
            *PROSE,
            "Use `f` so:",
            "f(1)\nf(2)",
            "f = lambda x: 2",
            "def f(x):\n    return 2",
            "`f = str`",
            "import g",
            "List",
            "wrong",
            "This is wrong:",
            "Instead of this:",
            "It is wrong.",
            "g: int",
            "def g(x):\n    return 3",
            "[1, 2]",
            "x < 3",
            "x[0]",
            "<think>",
            "</think>",
            "<b>",
            ">>> f(1)",
            "> f",
            '"""',
            "'''",
            "'a' 'b'",
            "\\n",
            "### Human: f",
            "## f",
            "1. f",
            "analysis",
            "[INST]",
            "<|im_end|>",
            "f -> 1",
            "for f in [str]: pass",
            "K = 2",
            '["de", "f f(x): return 2"]',
            "with open('f') as g: pass",
            "```",
            "~~~",
            "&lt;f",
            "\u200bdef f(x): return 2",
            "$ pip install f",
            "{'f': 1}",
        ]
    ),
    max_size=4,
).map("\n".join) | st.text(max_size=30)
SHORTCUT_BLOCKS = st.sampled_from(
    [
        *LAST,
        *(f"{part}\n\n{LAST[0]}" for part in PARTS),
        "def f(x: List[int]):\n    return g(x)",
        "return f",
        "def f(x):\n    return g(x) + K",
        "def f(x):\n    pass",
        "def f(x:\n",
        "  def f(x):\n      return 1",
        "# wrong\ndef f(x):\n    return 1",
        "g(1)",
        "",
        'def f(x):\n    """Text.\n\n    >>> f(1)\n    """\n    return 1',
        'def f(x):\n    return \'\\\n"""\'',
        "x = 1\f",
        "import g\n\ndef f(x):\n    return typing",
        "def f(x):\n    return '<think>' + '</s>' + '<|im_end|>'",
        "def f(x):\n    nonlocal x",
        "class A:\n    def f(self):\n        return 1\n\ndef f(x):\n    return 2",
    ]
)
LANGUAGES = st.sampled_from(["python", "", "Py ", "python3", "bash", "python x"])


@given(SHORTCUT_TEXTS, SHORTCUT_BLOCKS, SHORTCUT_TEXTS, LANGUAGES)
@example("f = lambda x: 2\n\nThis is wrong:", GOOD, "", "python")
def test_the_shortcut_gives_what_the_full_rules_give(before, block, after, language):
    text = f"{before}\n```{language}\n{block}\n```\n{after}".replace("\r", "")
    quick = one_block(text, "f", parsing.Parser(len(text)))
    assert quick is None or quick == by_all_rules(text, "f", parsing.Parser(len(text)))


@every("one", GOLDEN, ids=lambda one: one.name)
def test_the_shortcut_changes_no_golden_completion(one):
    text = one.completion.replace("\r\n", "\n").replace("\ufeff", "")
    quick = one_block(text, one.entry_point, parsing.Parser(len(text)))
    assert quick in (None, by_all_rules(text, one.entry_point, parsing.Parser(len(text))))


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{GOOD}\n```",
        f"Sure, here it is:\n\n```python\n{GOOD}\n```\n\nThe function `f` adds one.",
        f"```\n{GOOD}\n```\nNote: this has no [0] and x < 3.",
    ],
)
def test_the_commonest_completion_takes_the_shortcut(text):
    assert one_block(text, "f", parsing.Parser(len(text))) == GOOD


@given(st.text(), st.text())
def test_prose_without_fences_never_hides_a_fenced_function(before, after):
    before, after = (text.translate(dict.fromkeys(map(ord, "`~<[◁"))) for text in (before, after))
    code = extract_code(f"{before}\n```python\n{GOOD}\n```\n{after}", "f")
    assert code == GOOD


@given(
    st.lists(
        st.sampled_from(
            [
                "```",
                "~~~",
                "python",
                "\n",
                " ",
                "    ",
                "def f(x):",
                "return x",
                "<think>",
                "</think>",
                "<|end|>",
                '"""',
                "'''",
                "> ",
                ">>> ",
                "... ",
                "{",
                '"',
                "f = ",
                "(",
                ")",
                "f",
                "class A:",
                "1. ",
                "+",
                "</s>",
                "<code>",
                "[THINK]",
                ":",
                ",",
                "`",
                "<|channel|>final<|message|>",
                "\\",
                "#",
                "import f",
                "x",
                "“",
                "\u00a0",
                "@",
                "from __future__ import annotations",
            ]
        ),
        max_size=40,
    ).map("".join)
    | st.text()
)
def test_no_text_breaks_the_extractor(text):
    assert isinstance(extract_code(text, "f"), str)


def test_what_holds_no_function_comes_back_as_it_is():
    assert extract_code("  I cannot do that.  ", "f") == "I cannot do that."
    assert extract_code("```python\nprint(1)\n```", "f") == "print(1)"
    assert extract_code("", "f") == ""


def test_names_of_typing_are_given_and_the_program_says_so():
    code = extract_code("```python\ndef f(x: List[int], y: Any) -> Optional[int]:\n    return x\n```", "f")
    assert code.splitlines()[0] == "from typing import Any, List, Optional  # not imported by the completion"
    assert given_names(code) == ["Any", "List", "Optional"]
    assert given_names(GOOD) == []


def test_nothing_is_put_before_a_program_that_it_does_not_need():
    blocks = [
        "import math\nimport os\n\ndef g(x):\n    return math.sqrt(x)\n\ndef h(x):\n    return 1\n\nprint(g(4))",
        "def f(x):\n    return g(x)",
    ]
    code = extract_code("\n\n".join(f"```python\n{block}\n```" for block in blocks), "f")
    assert code == "import math\n\n\ndef g(x):\n    return math.sqrt(x)\n\n\ndef f(x):\n    return g(x)"


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("from helpers import g", "g(x)"),
        ("from .helpers import g", "g(x)"),
        ("from a.helpers import (\n    g,\n)", "g(x)"),
        ("from helpers import g as h", "h(x)"),
        ("from helpers import g, K", "g(x) + K - 3"),
    ],
)
def test_an_import_from_a_file_of_the_completion_is_satisfied_by_it(statement, call):
    blocks = (
        "K = 3",
        "from other import K\n\ndef g(x):\n    return x + K",
        f"{statement}\n\ndef f(x):\n    return {call}",
    )
    code = extract_code("\n\n".join(f"`a.py`:\n\n```python\n{block}\n```" for block in blocks), "f")
    space = {}
    exec(code, space)
    assert space["f"](1) == 4


DEFINITIONS = [
    *LAST,
    "def f(\n    x):\n    return x",
    "def \\\n f(x): pass",
    "class f: pass",
    "async def f(): pass",
    "f = g",
    "f: object = g",
    "a, f = g, g",
    "[a, (b, f)] = c",
    "(f := g)",
    "for f in [g]: pass",
    "for a, (b, f) in c: pass",
    "for x[0], f in c: pass",
    "from math import sqrt as f",
    "from os.path import (\n    join,\n    f,\n)",
    "f = (\n    g)",
    "from math import " + ", ".join(["sqrt"] * 20) + ", f",
    "globals()['f'] = g",
    "exec('f = g')",
    "a = f = g",
    "class A:\n    def f(self): pass",
    "def g():\n    global f\n    f = g",
    "def g():\n    global f\n    import f",
    "if x:\n    f = g",
    "a = b, f = c",
    "f, = [g]",
    "*f, a = b",
    "setattr(m, 'f', g)",
    "f: Callable[[int], int] = g",
]


@every("source", DEFINITIONS)
def test_a_text_that_defines_the_function_is_not_passed_over(source):
    tree = ast.parse(source)
    assert definition(tree, source, "f"), "no definition"
    assert may_define(source, "f")
    for form in (f"```python\n{source}\n```", f"Some text, f.\n\n{source}\n\nf, you see."):
        assert may_define(form, "f")


@given(PROGRAMS, PROSES, PROSES, *(st.sampled_from(sorted(forms)) for forms in (INNER, OUTER, WRAPPED)))
def test_no_form_of_a_program_is_passed_over(program, before, after, inner, outer, wrapped):
    text = "\n\n".join(filter(None, [before, INNER[inner](program), after]))
    assert may_define(WRAPPED[wrapped](OUTER[outer](text)), "f")


@pytest.mark.parametrize(
    "text",
    [
        "The function `f(x)` adds one, and f is quick.",
        "```python\nprint(f(3))\n```",
        "def f_one(x):\n    return x",
        "def helper(x):\n    return f(x)",
        "Use f in a loop. Then f(x) == 1.",
    ],
)
def test_a_text_that_only_uses_or_names_the_function_is_passed_over(text):
    assert not may_define(text, "f")


FILES = [
    "`g.py`:\n\n```python\n{}\n```",
    "```python g.py\n{}\n```",
    "```python\n# g.py\n{}\n```",
    "```python:lib/g.py\n{}\n```",
    "### File: lib/g.py\n\n```python\n{}\n```",
    '```py title="g.py"\n{}\n```',
]
USES = [
    "import g\n\ndef f(x):\n    return g.add(x)",
    "import g as h\n\ndef f(x):\n    return h.add(x)",
    "from g import *\n\ndef f(x):\n    return add(x)",
    "from . import g\n\ndef f(x):\n    return g.add(x)",
    "import lib.g as h\n\ndef f(x):\n    return h.add(x)",
    "from lib import g\n\ndef f(x):\n    return g.add(x)",
    "def f(x):\n    import g\n    return g.add(x)",
    "def f(x):\n    from .g import add\n    return add(x)",
    "from g import add\n\nK = 0\n\ndef f(x):\n    return add(x) + K",
    "from __future__ import annotations\nimport g\n\ndef f(x: y):\n    return g.add(x)",
]


@every("form", FILES)
@every("use", USES)
@every("first", [True, False])
def test_files_of_one_completion_import_each_other(form, use, first):
    blocks = [form.format("K = 1\n\ndef add(x):\n    return x + K"), f"The program:\n\n```python\n{use}\n```"]
    code = extract_code("\n\n".join(blocks if first else blocks[::-1]), "f")
    space = {}
    exec(code, space)
    assert space["f"](1) == 2, code
    assert code.count("def add") == 1


def test_a_function_inside_a_broken_one_is_not_the_answer():
    text = "```python\ndef g(x):\n    def f(x):\n        return x\n    return f((\n```"
    assert extract_code(text, "f").startswith("def g")


def test_an_import_that_the_completion_does_not_satisfy_stays():
    text = f"```python\n{GOOD}\n```\n```python\nfrom numpy import g, array\n\ndef f(x):\n    return g(x)\n```"
    assert extract_code(text, "f").startswith("from numpy import g, array")


@pytest.mark.parametrize(
    "line",
    [
        "A common mistake is to write this instead (do NOT do this):",
        "The wrong way would be to do this instead:",
        "Do not write this:",
        "Instead of this (never use it):",
        "A common beginner error, seen instead:",
        "Here is how not to do it instead:",
    ],
)
def test_a_block_that_is_shown_as_a_mistake_is_no_answer(line):
    assert extract_code(f"```python\n{GOOD}\n```\n\n{line}\n\n```python\n{DRAFT}\n```", "f") == GOOD


@pytest.mark.parametrize(
    "line",
    [
        "That is a common mistake. Use this instead:",
        "To avoid this common mistake, here is the corrected version:",
        "My first version was wrong, do this instead:",
        "Use this instead:",
        "The code above does not work. Instead:",
    ],
)
def test_a_block_that_comes_instead_of_a_mistake_is_the_answer(line):
    assert extract_code(f"```python\n{DRAFT}\n```\n\n{line}\n\n```python\n{GOOD}\n```", "f") == GOOD


def test_the_style_of_a_models_text_is_not_reported_to_the_user():
    code = "from axiom.extraction import extract_code; print(extract_code(r'def f(s): return \"\\d\" is 1', 'f'))"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert "def f" in done.stdout
    assert done.stderr == ""


# Work

REPEATED = {
    "assignments that stay open": "shift = (\n",
    "brackets": "f = [[[[\n",
    "blocks": "```python\nf = 1\n```\n",
    "broken blocks": "```python\nf(\n```\n",
    "blocks that stay open": "```python\nf = (\n",
    "marks": "```\n",
    "marks in thoughts": "```python\nf\n</think>\n",
    "thoughts": "<think>f</think>",
    "open thoughts": "<think>\n",
    "quotes": ">  >  f",
    "strings": 'f = """\n',
    "strings over blocks": '```python\n# """\nf = """ \'\'\'\n```\n',
    "data": '{"f": \n',
    "ends": "f <|end|> x ",
    "tags": "<b>f",
    "prose": "The function f adds one to x.\n",
    "words": "f\n",
    "sums": "+ f",
    "functions": GOOD + "\n\n",
    "broken functions": "def f(x:\n    return x\n",
    "decorators": "@f\n",
    "prompts": ">>> f = (\n",
    "signs of a diff": "+f = (\n",
    "curly quotes": "“f” = (\n",
    "branches": "elif f:\n",
    "indented": "Now f:\n    f = (\n",
    "helpers": "```python\ndef g(x):\n    return h(x)\n```\n",
    "imports": "import f\n",
    "turns": "User: f\nAssistant: f\n",
    "files": "# f.py\nfrom f import f\n",
    "named blocks": "```python f.py\nimport a.f, g\n```\n",
    "tuples": "f, ",
    "signs": "“f → f ≥ f”\n",
    "boxes": "\\boxed{f}\n",
}


class Work:
    """Counts the characters that are parsed and the calls that are made while one completion is read."""

    def __init__(self, monkeypatch, text):
        self.characters = self.calls = 0
        real_tree, real_table = ast.parse, parsing.symtable.symtable

        def count(real):
            def counted(source, *rest):
                self.characters += len(source)
                return real(source, *rest)

            return counted

        with monkeypatch.context() as patch:
            patch.setattr(parsing.ast, "parse", count(real_tree))
            patch.setattr(parsing.symtable, "symtable", count(real_table))
            sys.setprofile(self._event)
            try:
                extract_code(text, "f")
            finally:
                sys.setprofile(None)

    def _event(self, frame, event, argument):
        self.calls += event.endswith("call")


@pytest.mark.parametrize("unit", REPEATED.values(), ids=REPEATED)
def test_work_is_linear_in_the_size_of_the_completion(unit, monkeypatch):
    small, large = (
        Work(monkeypatch, unit * (size // len(unit)) + "\n```python\n" + GOOD + "\n```") for size in (8_000, 64_000)
    )
    assert large.characters <= (parsing.WORK + 2) * 64_000 + 30_000
    assert large.calls <= 8 * small.calls * 1.25 + 2_000


def test_the_parser_stops_at_its_budget_and_not_before():
    parse = parsing.Parser(10_000)
    sources = [f"x = {number}\n" + "#" * 10_000 for number in range(40)]
    parsed = [parse(source) is not None for source in sources]
    assert parsed.index(False) in (parsing.WORK, parsing.WORK + 1, parsing.WORK + 2)
    assert not any(parsed[parsed.index(False) :])
    assert parse(sources[0]) is not None  # known already


def test_a_program_behind_a_degenerate_text_is_found():
    assert extract_code("shift = (\n" * 512 + GOOD, "f") == GOOD
    assert extract_code(f"{GOOD}\n\n" + "and so on (\n" * 3000, "f") == GOOD
