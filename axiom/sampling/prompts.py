"""Problem -> prompt, and program <-> completion, in the form that the model was trained to continue.

    chat    the model's own chat template; the completion holds a fenced program
    plain   for models without one: worked examples, then a signature and a docstring; the completion is the body
    FILE    a Jinja file of the user's; its variables are listed in docs/prompts.md

One `Template` makes the prompts of sampling, training and evaluation, so the three cannot differ.
"""

import ast
import hashlib
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from axiom import values
from axiom.config import PromptsConfig
from axiom.errors import ConfigError
from axiom.extraction import extract_code
from axiom.records import Case, Problem

TOP_LEVEL = (
    "\ndef ",
    "\nclass ",
    "\nif ",
    "\nfor ",
    "\nprint(",
    "\nassert ",
    "\nimport ",
    "\nfrom ",
    "\n@",
    "\n#",
    "\n```",
    '\n"""',
    "\n<",
    "\n>>>",
)
"""Texts that begin a new top-level statement: after a function's body they end the completion of a plain prompt."""

WORKED = '''\
def is_leap(year: int) -> bool:
    """Return whether a year of the Gregorian calendar is a leap year.

    >>> is_leap(2000)
    True
    >>> is_leap(1900)
    False
    """
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def initials(name: str) -> str:
    """Return the first letter of each word of name in upper case, each followed by a dot.

    >>> initials('ada lovelace')
    'A.L.'
    """
    letters = [word[0].upper() for word in name.split()]
    return ''.join(letter + '.' for letter in letters)


'''
"""The two worked examples of the plain template. No family of problems asks for either."""

_MARK = "0193axiom7265"
"""A word that no template contains: what follows it in a rendered chat ends the turn."""


@dataclass(frozen=True)
class Template:
    """How a problem is asked and how a program is answered. Made by `make_template`."""

    name: str
    """`chat`, `plain` or the path of a Jinja file."""
    description: str
    """What was chosen and why, one sentence."""
    render: Callable[[Problem], str]
    """The prompt's text, up to where the completion begins."""
    stops: tuple[str, ...]
    """Texts that end a completion, beside the end-of-turn token."""
    turn_end: int
    """The token that ends a completion in training."""

    def completion(self, problem: Problem, program: str) -> str:
        """The completion that answers with `program`: what training teaches after the prompt."""
        if problem.kind == "answer":
            return program
        if self.name == "chat":
            return fenced(program)
        head = code_head(self.render(problem), problem.entry_point)
        return (_body(program, head) or f"\n\n{program.strip()}\n") if head else fenced(program)


def fenced(program: str) -> str:
    """A program as a chat model writes it: a bare fenced block."""
    return f"```python\n{program.strip()}\n```"


def read_program(prompt: str, completion: str, problem: Problem) -> str:
    """The program in a completion: what the prompt began and the completion goes on with, or what it holds itself."""
    if problem.kind == "answer":
        return completion
    head = code_head(prompt, problem.entry_point)
    lines = completion.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if not head or not first[:1].isspace():
        return extract_code(completion, problem.entry_point)
    ends = [number for number, line in enumerate(lines) if line[:1].strip()] + [len(lines)]
    bodies = ("\n".join(lines[:end]).rstrip() for end in ends)
    programs = [head + body + "\n" for body in bodies]
    return next(filter(_parses, programs), programs[0])


def code_head(prompt: str, entry_point: str) -> str:
    """The end of a prompt that is a signature, with or without a docstring, to go on from; empty if there is none."""
    signature = re.compile(rf"^(async )?def {re.escape(entry_point)}\(", re.MULTILINE)
    head = prompt[max((match.start() for match in signature.finditer(prompt)), default=len(prompt)) :]
    return head if head and _asked(head) is not None else ""


def _asked(head: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The function that `head` begins, if it holds nothing but its docstring."""
    whole = head + "\n    pass\n"
    body = ast.parse(whole).body if _parses(whole) else []
    function = body[0] if len(body) == 1 else None
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function if len(statements) == 1 and isinstance(statements[0], ast.Pass) else None


def _body(program: str, head: str) -> str | None:
    """A line break and the function's body, or None if `program` is more than that function."""
    asked = _asked(head)
    body = ast.parse(program).body if _parses(program) else []
    function = body[0] if len(body) == 1 else None
    if asked is None or type(function) is not type(asked) or function.decorator_list:
        return None
    if function.name != asked.name or _names(function.args) != _names(asked.args):
        return None
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not statements:
        return None
    lines = program.splitlines()[statements[0].lineno - 1 : statements[-1].end_lineno]
    if statements[0].col_offset == 4 and statements[0].lineno > function.lineno:
        return "\n".join(["", *lines, ""])
    return "\n" + textwrap.indent("\n".join(map(ast.unparse, statements)), " " * 4) + "\n"


def _names(arguments: ast.arguments) -> list[str]:
    return [argument.arg for argument in ast.walk(arguments) if isinstance(argument, ast.arg)]


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def make_template(config: PromptsConfig, tokenizer: Any) -> Template:
    """The template that `config.template` names. Raises ConfigError, in one sentence, where the model cannot use it."""
    has_chat = bool(getattr(tokenizer, "chat_template", None))
    name = config.template if config.template != "auto" else "chat" if has_chat else "plain"
    if name == "chat":
        if not has_chat:
            raise ConfigError(
                "prompts.template = 'chat', but the model has no chat template; set prompts.template = 'plain'"
            )
        return _chat(config, tokenizer)
    for key in ("system", "arguments"):
        if getattr(config, key) and name == "plain":
            raise ConfigError(
                f"prompts.{key} is set, but the plain template has no place for it; leave it out, "
                f"or write a Jinja file and name it in prompts.template"
            )
    begin = bos_text(tokenizer)
    if name == "plain":
        asked = config.template == "plain"
        why = "as prompts.template asks" if asked else "because the model has no chat template"
        return Template(
            name,
            f"prompting with the plain template, {why}: two worked examples, then a signature to complete",
            lambda problem: begin + plain_prompt(problem),
            TOP_LEVEL,
            int(tokenizer.eos_token_id),
        )
    return _from_file(Path(name), config, tokenizer)


def digest(config: PromptsConfig) -> str:
    """Changes with the text of the user's template file; empty for the other templates."""
    if config.template in ("auto", "chat", "plain"):
        return ""
    return hashlib.sha256(_file_text(Path(config.template)).encode()).hexdigest()[:16]


def plain_prompt(problem: Problem) -> str:
    """Worked examples, then the problem as a function to complete; for a direct answer, a question.

    It ends without a line break: many tokenizers have one token for the break and the indentation behind it.
    """
    if problem.kind == "answer":
        return f"Question: {problem.description}\nAnswer:"
    lines = textwrap.wrap(problem.description, 96) if "\n" not in problem.description else [problem.description]
    doc = [*lines, "", *(line for call_, result in shown(problem) for line in (f">>> {call_}", result))]
    quoted = textwrap.indent("\n".join(doc).strip().replace("\\", "\\\\").replace('"""', '\\"\\"\\"'), " " * 4)
    return f'{WORKED}{problem.signature}:\n    """{quoted.lstrip()}\n    """'


def shown(problem: Problem) -> list[tuple[str, str]]:
    """The example calls of a problem and their results, both as Python writes them."""
    return [(call(problem.entry_point, case.args), repr(values.decode(case.expected))) for case in problem.shown]


def call(entry_point: str, args: str) -> str:
    """A call as Python writes it, from the encoded arguments."""
    return f"{entry_point}({', '.join(map(repr, values.decode(args)))})"


def question(problem: Problem) -> str:
    """The text of the user's turn in a chat."""
    if problem.kind == "answer":
        return problem.description
    parts = [f"Write a Python function `{problem.signature}`.", problem.description]
    if problem.shown:
        parts.append("\n".join(["Examples:", *(f"{call_} -> {result}" for call_, result in shown(problem))]))
    return "\n\n".join(parts)


def bos_text(tokenizer: Any) -> str:
    """The beginning-of-sequence token's text if the tokenizer puts it before a text of its own accord, else nothing."""
    token = tokenizer.bos_token_id
    return str(tokenizer.bos_token) if token is not None and tokenizer("a")["input_ids"][:1] == [token] else ""


def _chat(config: PromptsConfig, tokenizer: Any) -> Template:
    from jinja2 import TemplateError

    today = date.fromisoformat(config.date)
    arguments = {
        # Templates read the date from either; without these, prompts would change from day to day.
        "strftime_now": today.strftime,
        "date_string": today.strftime("%d %b %Y"),
        **config.arguments,
    }

    def chat(turns: list[tuple[str, str]], parts: bool, **settings: bool) -> str:
        system = [("system", config.system)] if config.system else []
        messages = [
            {"role": role, "content": [{"type": "text", "text": text}] if parts else text}
            for role, text in system + turns
        ]
        try:
            rendered: str = tokenizer.apply_chat_template(messages, tokenize=False, **settings, **arguments)
        except (TemplateError, TypeError, ValueError, KeyError) as error:  # whatever a template's own code raises
            raise ConfigError(
                f"the model's chat template refuses the prompt ({str(error).strip() or type(error).__name__}); "
                f"change prompts.system or prompts.arguments, or set prompts.template = 'plain'"
            ) from None
        return rendered

    def shows(parts: bool) -> bool:
        asked = [chat([("user", text)], parts, add_generation_prompt=True) for text in (_MARK, _MARK[::-1])]
        return asked[0] != asked[1]

    # Templates of models that see images as well take a message in parts, and some show nothing of one that is a text.
    parts = not shows(parts=False)
    if parts and not shows(parts=True):
        raise ConfigError("the model's chat template leaves the question out; set prompts.template = 'plain'")

    def render(problem: Problem) -> str:
        return chat([("user", question(problem))], parts, add_generation_prompt=True)

    whole = chat([("user", _MARK + "?"), ("assistant", _MARK)], parts, add_generation_prompt=False)
    end = _turn_end(whole.rpartition(_MARK)[2], tokenizer)
    return Template("chat", "prompting with the model's chat template", render, (), end)


def _turn_end(after: str, tokenizer: Any) -> int:
    """The token by which a template ends the assistant's turn: the first special one behind its text, else eos."""
    special = set(tokenizer.all_special_ids) | {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    behind = tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
    return int(next((token for token in behind if token in special), tokenizer.eos_token_id))


def _file_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"prompts.template = {str(path)!r} cannot be read ({error}); name a Jinja file, or 'auto', 'chat', 'plain'"
        ) from None


_TRIED = Problem(
    problem_id="-",
    family="-",
    variant="-",
    difficulty=1,
    split="train",
    title="Add one",
    description="Return x plus one.",
    signature="def add_one(x)",
    entry_point="add_one",
    shown=tuple(Case(args=f"[{x}]", expected=f"{x + 1}") for x in range(3)),
    cases=(),
    reference_solution="",
    input_data="",
    expected_output="",
)
"""A problem that a template of the user's is tried on."""


def _from_file(path: Path, config: PromptsConfig, tokenizer: Any) -> Template:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    settings = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        source = settings.from_string(_file_text(path))
    except TemplateError as error:
        raise ConfigError(f"prompts.template = {str(path)!r} is not a Jinja template: {error}; correct it") from None
    common = {
        "system": config.system,
        "bos_token": tokenizer.bos_token or "",
        "eos_token": tokenizer.eos_token or "",
        "date": config.date,
        **config.arguments,
    }

    def render(problem: Problem) -> str:
        own = {key: getattr(problem, key) for key in ("title", "description", "signature", "entry_point", "kind")}
        try:
            prompt = source.render(**common, **own, examples=shown(problem), family=problem.family)
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
            raise ConfigError(f"prompts.template = {str(path)!r} cannot be rendered: {error}; correct it") from None
        if not prompt.strip():
            raise ConfigError(f"prompts.template = {str(path)!r} renders nothing; show {{{{ description }}}} in it")
        return prompt

    render(_TRIED)  # a mistake in the file is told before the run
    return Template(str(path), f"prompting with the template {path}", render, (), int(tokenizer.eos_token_id))
