"""Problem -> the messages that ask for a solution, and code -> the completion that training teaches."""

from typing import Any

from axiom import values
from axiom.records import Problem


def messages(problem: Problem) -> list[dict[str, str]]:
    """The chat that asks for a solution: one user message, the same for sampling, training and evaluation."""
    if problem.kind == "answer":
        return [{"role": "user", "content": problem.description}]
    calls = [f"{call(problem.entry_point, case.args)} -> {values.decode(case.expected)!r}" for case in problem.shown]
    parts = [f"Write a Python function `{problem.signature}`.", problem.description]
    if calls:
        parts.append("\n".join(["Examples:", *calls]))
    return [{"role": "user", "content": "\n\n".join(parts)}]


def call(entry_point: str, args: str) -> str:
    """A call as Python writes it, from the encoded arguments."""
    return f"{entry_point}({', '.join(map(repr, values.decode(args)))})"


def render(problem: Problem, tokenizer: Any) -> str:
    """The prompt text: the model's own chat template, up to where its answer begins."""
    text: str = tokenizer.apply_chat_template(messages(problem), tokenize=False, add_generation_prompt=True)
    return text


def target(code: str) -> str:
    """The completion that training teaches: a bare fenced block."""
    return f"```python\n{code.strip()}\n```"
