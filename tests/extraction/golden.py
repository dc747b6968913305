"""Reads the golden completions of `tests/extraction/completions/`: one file for each kind.

Those in `files.txt` and `unseen*.txt`, of many kinds, were written by somebody who had not seen the extractor.
Those in `gemma3_270m.txt` are a base model's own, from plain prompts and from questions.

A completion begins with `%%%% name [escaped] [outcome=...]`. Calls and what they must return follow as in a doctest,
then `----`, then the completion, byte for byte. `escaped` ones are written with Python's escapes.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from axiom.records import Case
from axiom.values import encode

FOLDER = Path(__file__).parent / "completions"


@dataclass(frozen=True)
class Golden:
    """A completion, the calls that decide about it, and the verdict of a careful reader."""

    name: str
    completion: str
    entry_point: str
    cases: tuple[Case, ...]
    outcome: str


def golden() -> Iterator[Golden]:
    """All golden completions, named `kind/name`."""
    for path in sorted(FOLDER.glob("*.txt")):
        for part in path.read_bytes().decode().split("%%%% ")[1:]:
            head, _, rest = part.partition("\n")
            calls, _, completion = rest.partition("\n----\n")
            name, *options = head.split()
            completion = completion.removesuffix("\n")
            if "escaped" in options:
                completion = completion.encode("raw_unicode_escape").decode("unicode_escape")
            outcome = next((o.removeprefix("outcome=") for o in options if o.startswith("outcome=")), "passed")
            entry_point, cases = _calls(calls)
            yield Golden(f"{path.stem}/{name}", completion, entry_point, cases, outcome)


def _calls(text: str) -> tuple[str, tuple[Case, ...]]:
    entry_point, cases = "", []
    lines = iter([*text.split("\n"), ">>> "])
    line = next(lines)
    while line != ">>> ":
        call = ast.parse(line.removeprefix(">>> "), mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        line = next(lines)
        expected = None if line.startswith(">>> ") else ast.literal_eval(line)
        line = line if line.startswith(">>> ") else next(lines)
        entry_point = call.func.id
        cases.append(Case(args=encode([ast.literal_eval(item) for item in call.args]), expected=encode(expected)))
    return entry_point, tuple(cases)
