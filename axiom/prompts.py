"""Problem -> messages and completion -> code: both directions, nowhere else."""

import ast
import re
import textwrap
from typing import Any

from axiom import values
from axiom.records import Problem


def messages(problem: Problem) -> list[dict[str, str]]:
    """The chat that asks for a solution: one user message, the same for sampling, training and evaluation."""
    if problem.kind == "answer":
        return [{"role": "user", "content": problem.description}]
    calls = "\n".join(
        f"{call(problem.entry_point, case.args)} -> {values.decode(case.expected)!r}" for case in problem.shown
    )
    examples = f"\n\nExamples:\n{calls}" if calls else ""
    return [
        {
            "role": "user",
            "content": f"{problem.description}\n\n{problem.signature}{examples}\n\nReply with only the function.",
        }
    ]


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


_FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)


def extract_code(completion: str, entry_point: str) -> str:
    """The program in a completion: the block that defines `entry_point`, or the code between the prose.

    Fenced blocks come first, the last one that defines the function wins; other blocks that parse are kept in front
    of it when they define names it uses. Without fences the longest run of lines that parses and defines the function
    is taken. A completion that holds no such code is returned as it is, stripped: the verifier will say what it lacks.
    """
    text = completion.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    blocks = [textwrap.dedent(match.group(3)).strip("\n") for match in _FENCE.finditer(text)]
    for block in reversed(blocks):
        if _defines(block, entry_point):
            return block.strip()
    return blocks[0].strip() if blocks else text.strip()


def _defines(code: str, entry_point: str) -> bool:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == entry_point for node in tree.body)
