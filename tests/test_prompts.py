"""Prompts and the extractor: golden on completions that a model really wrote, and on every shape one may take."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axiom.problems import generate
from axiom.prompts import extract_code, messages, render, target

DATA = Path(__file__).parent / "data" / "completions.jsonl"
REAL = [json.loads(line) for line in DATA.read_text().splitlines()]
GOOD = "def f(x):\n    return x + 1"

SHAPES = {
    "fenced": f"```python\n{GOOD}\n```",
    "fenced py": f"```py\n{GOOD}\n```",
    "fenced without a language": f"```\n{GOOD}\n```",
    "tildes": f"~~~python\n{GOOD}\n~~~",
    "four backticks": f"````python\n{GOOD}\n````",
    "bare": GOOD,
    "prose before": f"Here is the function:\n\n{GOOD}",
    "prose after": f"{GOOD}\n\nIt adds one to its argument.",
    "prose around a fence": f"Sure!\n\n```python\n{GOOD}\n```\n\nThis works because 1 + 1 is 2.",
    "fence after a colon": f"The code: ```python\n{GOOD}\n```",
    "unclosed fence": f"```python\n{GOOD}\n",
    "unclosed fence with a cut statement": f"```python\n{GOOD}\n\nprint(f(",
    "fence closed on the last line": f"```python\n{GOOD}```",
    "a usage block after it": f"```python\n{GOOD}\n```\nUse it:\n```python\nprint(f(2))\n```",
    "a first attempt before it": f"```python\ndef f(x):\n    return x\n```\nBetter:\n```python\n{GOOD}\n```",
    "indented fence in a list": "1. Do this:\n\n   ```python\n   def f(x):\n       return x + 1\n   ```\n",
    "crlf": f"```python\r\n{GOOD}\r\n```\r\n".replace("\n", "\r\n").replace("\r\r", "\r"),
    "bom": f"\ufeff{GOOD}",
    "end of turn": f"{GOOD}<|im_end|>\n<|im_start|>user\nThanks",
    "thoughts": f"<think>Perhaps\n\ndef f(x):\n    return 0\n</think>\n{GOOD}",
    "signature repeated": f"def f(x: int) -> int\n\n{GOOD}",
    "another parameter name": "def f(value):\n    return value + 1",
    "class Solution": "class Solution:\n    def f(self, x):\n        return x + 1",
    "class Solution, fenced": "```python\nclass Solution:\n    def f(self, x: int) -> int:\n        return x + 1\n```",
    "lambda": "f = lambda x: x + 1",
    "async-free decorator": "import functools\n\n@functools.cache\ndef f(x):\n    return x + 1",
    "import in a block of its own":
        "```python\nimport operator\n```\n```python\ndef f(x):\n    return operator.add(x, 1)\n```",
    "helper in a block of its own":
        "```python\ndef g(x):\n    return x + 1\n```\nThen\n```python\ndef f(x):\n    return g(x)\n```",
    "type hints and docstring": 'def f(x: int) -> int:\n    """Add one."""\n    return x + 1',
    "main guard": f"{GOOD}\n\nif __name__ == '__main__':\n    print(f(1))",
}  # fmt: skip


def run(code: str, *args):
    scope = {"__name__": "candidate"}
    exec(code, scope)  # shapes written here, above
    return scope["f"](*args)


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_gives_a_program_that_runs(name):
    assert run(extract_code(SHAPES[name], "f"), 4) == 5


def test_what_holds_no_function_comes_back_as_it_is():
    assert extract_code("  I cannot do that.  ", "f") == "I cannot do that."
    assert extract_code("```python\nprint(1)\n```", "f") == "print(1)"
    assert extract_code("", "f") == ""


@given(st.text())
def test_no_text_breaks_the_extractor(text):
    assert isinstance(extract_code(text, "f"), str)


@given(st.text(), st.text())
def test_prose_without_fences_never_hides_a_fenced_function(before, after):
    before, after = (text.replace("`", "").replace("~", "").replace("<", "") for text in (before, after))
    assert run(extract_code(f"{before}\n```python\n{GOOD}\n```\n{after}", "f"), 1) == 2


def test_extracting_is_idempotent_and_inverts_target():
    for shape in SHAPES.values():
        code = extract_code(shape, "f")
        assert extract_code(code, "f") == code
        assert extract_code(target(code), "f") == code


def test_a_long_answer_is_read_quickly():
    assert run(extract_code(f"{GOOD}\n\n" + "and so on (\n" * 3000, "f"), 1) == 2


def test_there_are_enough_real_completions():
    assert len(REAL) >= 40
    assert len({row["model"] for row in REAL}) >= 3  # as published, and as early and late rounds of training made it
    assert len({row["temperature"] for row in REAL}) >= 4
    assert len({row["completion"] for row in REAL}) == len(REAL)


@pytest.mark.parametrize("row", REAL, ids=range(len(REAL)))
def test_real_completions_give_the_code_on_record(row):
    code = extract_code(row["completion"], row["entry_point"])
    assert code == row["code"]
    if row["defines"]:
        assert any(getattr(node, "name", "") == row["entry_point"] for node in ast.parse(code).body)


def test_one_message_serves_every_purpose():
    class Tokenizer:
        def apply_chat_template(self, chat, tokenize, add_generation_prompt):
            assert not tokenize
            assert add_generation_prompt
            return f"<user>{chat[0]['content']}</user><assistant>"

    (problem,) = generate("list_sort", (1, 1), 1, 0)
    assert render(problem, Tokenizer()) == f"<user>{messages(problem)[0]['content']}</user><assistant>"


def test_the_style_of_a_models_text_is_not_reported_to_the_user():
    code = "from axiom.prompts import extract_code; print(extract_code(r'def f(s): return \"\\d\" is 1', 'f'))"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert "def f" in done.stdout
    assert done.stderr == ""
