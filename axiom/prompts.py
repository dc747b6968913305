"""Problem -> messages and completion -> code: both directions, nowhere else."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

from axiom import values
from axiom.records import Problem

# What Python thinks of the style of a model's text, when it parses it, is no news to the user.
warnings.filterwarnings("ignore", module="<unknown>")


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


_FENCE = re.compile(
    r"(?P<mark>```+|~~~+)[ \t]*[\w+#.-]*[ \t]*\n(?P<body>.*?)(?:^[ \t]*(?P=mark)[`~]*|(?P=mark)[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
MOST_STARTS = 20
"""Statements of one run of code that are tried as its beginning."""
_STARTS = re.compile(r"(async\s+def|def|class|import|from|@|if __name__|[A-Za-z_]\w*\s*(:[^=]+)?=[^=])")
_ENDINGS = re.compile(r"<\|(im_end|endoftext|eot_id|end|user)\|>.*|</s>.*", re.DOTALL)


def extract_code(completion: str, entry_point: str) -> str:
    """The program in a completion: plain source that defines `entry_point` wherever the completion holds it.

    The last fenced block that defines the function wins, led by those earlier blocks whose names it uses. Without one,
    the longest run of lines that parses and defines it is taken out of the prose. A method of `class Solution` gets a
    function in front of it. A completion without the function comes back as its first block, or as it is: the
    verifier will say what it lacks.
    """
    text = completion.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    text = _ENDINGS.sub("", text.rpartition("</think>")[2])
    blocks = [textwrap.dedent(match["body"]).strip("\n") for match in _FENCE.finditer(text)]
    for place in range(len(blocks) - 1, -1, -1):
        found = _defining(blocks[place], entry_point)
        if found:
            return _with_helpers(found, blocks[:place])
    bare = max((_defining(run, entry_point) for run in (*blocks, *_runs(text))), key=len, default="")
    return bare or (blocks[0] if blocks else text).strip()


def _defining(block: str, entry_point: str) -> str:
    """`block`, without a broken tail, if it defines the function, as one that can be called; else nothing."""
    if entry_point not in block:
        return ""
    lines = block.split("\n")
    for end in range(len(lines), 0, -1):
        if end < len(lines) and lines[end][:1] in (" ", "\t", "", ")", "]", "}"):
            continue  # only whole top-level statements are cut off
        source = "\n".join(lines[:end])
        tree = _parse(source)
        if tree is None:
            continue
        if any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == entry_point for node in tree.body
        ):
            return source.strip()
        return _unwrapped(source.strip(), tree, entry_point)
    return ""


def _unwrapped(source: str, tree: ast.Module, entry_point: str) -> str:
    """`source` with a plain function for the method `entry_point` of one of its classes, or for an assigned lambda."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(
            isinstance(item, ast.FunctionDef) and item.name == entry_point for item in node.body
        ):
            return f"{source}\n\n\ndef {entry_point}(*args):\n    return {node.name}().{entry_point}(*args)"
        if isinstance(node, ast.Assign) and any(
            isinstance(name, ast.Name) and name.id == entry_point for name in node.targets
        ):
            return source
    return ""


def _with_helpers(block: str, earlier: list[str]) -> str:
    """`block` led by the earlier blocks that define a name it uses and does not define itself."""
    tree = _parse(block)
    assert tree is not None
    wanted = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - _defined(tree)
    helpers = []
    for text in earlier:
        other = _parse(text)
        if other is not None and wanted & _defined(other):
            helpers.append(text.strip())
    return "\n\n\n".join([*helpers, block])


def _defined(tree: ast.Module) -> set[str]:
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {name.id for name in node.targets if isinstance(name, ast.Name)}
    return names


def _runs(text: str) -> Iterator[str]:
    """Runs of lines that look like top-level code, from each statement on: a stray first line may be wrong."""
    run: list[str] = []
    for line in [*text.split("\n"), "End of text."]:
        if _STARTS.match(line) or (run and (not line.strip() or line[0] in " \t)]}#")):
            run.append(line)
            continue
        starts = [place for place, old in enumerate(run) if _STARTS.match(old)]
        yield from ("\n".join(run[place:]) for place in starts[:MOST_STARTS])
        run = []


def _parse(source: str) -> ast.Module | None:
    """The syntax tree, or None: a model's text may break the parser in every way it knows."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
