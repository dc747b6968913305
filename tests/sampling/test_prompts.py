"""Prompts in every form: what the model goes on with is read back as the program."""

import ast
import functools

import pytest
from hypothesis import example, given, strategies as st

from axiom import values
from axiom.config import ProblemsConfig, PromptsConfig
from axiom.errors import ConfigError
from axiom.problems import generate_splits
from axiom.problems.registry import GENERATORS
from axiom.records import Case, Problem
from axiom.sampling.prompts import TOP_LEVEL, WORKED, bos_text, code_head, digest, fenced, make_template, read_program
from tests.tables import every

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SMALL = ProblemsConfig(difficulty=(1, 10), train_size=1, val_size=1, test_size=0)
FAMILIES = sorted(GENERATORS)


@functools.cache
def one_of(family: str) -> Problem:
    return generate_splits(SMALL.model_copy(update={"families": (family,)}), 3)["train"][0]


class Words:
    """A tokenizer of whole characters with named special tokens."""

    def __init__(self, chat_template=None, bos=None, special=("<|im_start|>", "<|im_end|>", "<eos>")):
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        letters = [chr(n) for n in (9, 10, *range(32, 127))]
        raw = Tokenizer(models.WordLevel({c: n for n, c in enumerate([*letters, "?unknown"])}, "?unknown"))
        raw.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
        self.made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", bos_token=bos)
        self.made.add_special_tokens({"additional_special_tokens": list(special)})
        self.made.chat_template = chat_template
        if bos:
            self.made.add_bos_token = True
            self.made.update_post_processor()


def tokenizer(**settings):
    return Words(**settings).made


def results(program, problem):
    scope = {"__name__": "candidate"}
    exec(program, scope)
    return [values.encode(scope[problem.entry_point](*values.decode(case.args))) for case in problem.cases]


@every("form", ["chat", "plain", "file"])
@every("family", FAMILIES)
def test_a_program_written_as_a_completion_is_read_back_and_right(form, family, tmp_path):
    problem = one_of(family)
    own = tmp_path / "own.jinja"
    own.write_text(
        "# {{ description }}\n{% for call, result in examples %}# {{ call }} is {{ result }}\n{% endfor %}"
        "{{ signature }}:"
    )
    config = PromptsConfig(template=str(own) if form == "file" else form)
    template = make_template(config, tokenizer(chat_template=CHATML if form == "chat" else None))
    prompt, completion = template.render(problem), template.completion(problem, problem.reference_solution)
    program = read_program(prompt, completion, problem)
    assert results(program, problem) == [case.expected for case in problem.cases]
    assert read_program(prompt, completion + "\ndef other():\n    return 1\n", problem)
    assert problem.reference_solution.strip() not in prompt


def test_a_model_without_a_chat_template_gets_the_plain_one_and_is_told_so():
    template = make_template(PromptsConfig(), tokenizer())
    assert template.name == "plain"
    assert "no chat template" in template.description
    assert make_template(PromptsConfig(), tokenizer(chat_template=CHATML)).name == "chat"
    with pytest.raises(ConfigError, match=r"= 'chat', but the model has no chat template; set .* = 'plain'"):
        make_template(PromptsConfig(template="chat"), tokenizer())


def test_the_plain_prompt_ends_in_the_asked_function_and_its_worked_examples_are_right():
    problem = one_of(FAMILIES[0])
    prompt = make_template(PromptsConfig(template="plain"), tokenizer()).render(problem)
    head = code_head(prompt, problem.entry_point)
    assert prompt.endswith(head)
    assert head.startswith(problem.signature)
    scope: dict = {}
    exec(prompt[: -len(head)], scope)
    assert [scope["is_leap"](year) for year in (2000, 1900, 2024, 2023)] == [True, False, True, False]
    assert scope["initials"]("ada lovelace") == "A.L."


def test_a_body_ends_where_its_indentation_does_and_strings_do_not_count():
    problem = one_of(FAMILIES[0])
    prompt = make_template(PromptsConfig(template="plain"), tokenizer()).render(problem)
    body = '\n    text = """\nleft margin\n"""\n    return text\n'
    program = read_program(prompt, body + "\nprint('more')\nx = [\n", problem)
    function = ast.parse(program).body[0]
    assert ast.unparse(function.body[-1]) == "return text"
    assert "more" not in program


@pytest.mark.parametrize(
    "whole",
    [
        "import math\n\n\ndef {name}(x):\n    return math.floor(x)\n",
        "def help_(x):\n    return x\n\n\n{name} = help_\n",
    ],
)
def test_a_program_that_is_more_than_the_function_is_written_whole(whole):
    problem = one_of(FAMILIES[0])
    template = make_template(PromptsConfig(template="plain"), tokenizer())
    program = whole.format(name=problem.entry_point)
    completion = template.completion(problem, program)
    assert ast.dump(ast.parse(read_program(template.render(problem), completion, problem))) == ast.dump(
        ast.parse(program)
    )


def test_the_date_in_a_template_is_the_configured_one():
    dated = "{{ strftime_now('%d %b %Y') }} {{ date_string }} " + CHATML
    prompt = make_template(PromptsConfig(date="2024-02-29"), tokenizer(chat_template=dated)).render(one_of(FAMILIES[0]))
    assert prompt.startswith("29 Feb 2024 29 Feb 2024 ")


def test_a_system_prompt_and_arguments_reach_the_template():
    asks = "{{ 'reasoning on' if enable_thinking else 'reasoning off' }} " + CHATML
    config = PromptsConfig(system="Answer briefly.", arguments={"enable_thinking": True})
    prompt = make_template(config, tokenizer(chat_template=asks)).render(one_of(FAMILIES[0]))
    assert prompt.startswith("reasoning on <|im_start|>system\nAnswer briefly.<|im_end|>")


def test_a_template_that_refuses_is_one_sentence():
    refuses = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
    )
    with pytest.raises(ConfigError, match="System role not supported"):
        make_template(PromptsConfig(system="x"), tokenizer(chat_template=refuses))


IN_PARTS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + ':' }}{% for part in m.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>{% endfor %}"
)


def test_a_template_that_takes_a_message_in_parts_is_given_parts():
    problem = next(problem for problem in map(one_of, FAMILIES) if problem.kind == "program")
    prompt = make_template(PromptsConfig(system="Be brief."), tokenizer(chat_template=IN_PARTS)).render(problem)
    assert "system:Be brief.<|im_end|>" in prompt
    assert f"user:Write a Python function `{problem.signature}`." in prompt


@pytest.mark.parametrize("template", ["hello", "{% for m in messages %}{{ m.role }}{% endfor %}"])
def test_a_template_that_leaves_the_question_out_is_refused(template):
    with pytest.raises(ConfigError, match="leaves the question out; set prompts"):
        make_template(PromptsConfig(), tokenizer(chat_template=template))


@pytest.mark.parametrize("ends", ["<|im_end|>", "<eos>"])
def test_training_ends_a_turn_as_the_template_does(ends):
    words = tokenizer(chat_template=CHATML.replace("<|im_end|>", ends))
    assert make_template(PromptsConfig(), words).turn_end == words.convert_tokens_to_ids(ends)


def test_training_ends_with_eos_where_the_template_has_no_token_for_it():
    bare = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    words = tokenizer(chat_template=bare)
    assert make_template(PromptsConfig(), words).turn_end == words.eos_token_id


@pytest.mark.parametrize(
    ("end", "token"),
    [
        ("{% if m.role == 'assistant' %}{{ '<|im_end|>' }}{% endif %}", "<|im_end|>"),
        ("{% if m.role == 'user' %}{{ '<|im_end|>' }}{% endif %}", "<eos>"),
        ("", "<eos>"),
    ],
)
def test_the_end_of_a_turn_is_what_stands_behind_the_assistant_s_text_alone(end, token):
    """Neither what ends the user's turn nor what begins the next one."""
    turns = "{% for m in messages %}{{ m.content }}" + end + "{% endfor %}"
    asks = turns + "{% if add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}"
    words = tokenizer(chat_template=asks)
    assert make_template(PromptsConfig(), words).turn_end == words.convert_tokens_to_ids(token)


def test_a_special_token_that_the_tokenizer_lists_only_among_the_added_ones_ends_a_turn():
    from tokenizers import AddedToken

    words = tokenizer(chat_template=CHATML.replace("<|im_end|>", "<end_of_turn>"))
    words.add_tokens([AddedToken("<end_of_turn>", special=True)])
    number = words.convert_tokens_to_ids("<end_of_turn>")
    assert number not in words.all_special_ids
    assert make_template(PromptsConfig(), words).turn_end == number


def test_a_chat_prompt_ends_where_the_assistant_begins():
    template = make_template(PromptsConfig(), tokenizer(chat_template=CHATML))
    assert template.render(one_of(FAMILIES[0])).endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_a_beginning_token_that_the_tokenizer_adds_is_not_the_end_of_a_turn():
    words = tokenizer(chat_template=CHATML, bos="<s>")
    assert words("a")["input_ids"][0] == words.bos_token_id
    assert make_template(PromptsConfig(), words).turn_end == words.convert_tokens_to_ids("<|im_end|>")


def test_a_beginning_token_that_the_tokenizer_does_not_add_is_left_out():
    words = tokenizer()
    words.bos_token = "<eos>"
    assert words.bos_token_id is not None
    assert bos_text(words) == ""


@pytest.mark.parametrize("indent", [" ", "\t"])
def test_a_body_may_be_indented_by_one_sign(indent):
    head, body = "def add(x):", f"\n{indent}y = x + 1\n{indent}return y\n"
    problem = half(signature="def add(x)", entry_point="add")
    assert read_program(head, f"{body}print(add(1))\n", problem) == head + body


def test_a_beginning_token_stands_before_a_plain_prompt_where_the_tokenizer_adds_one():
    with_bos = tokenizer(bos="<|im_start|>")
    assert bos_text(with_bos) == "<|im_start|>"
    assert make_template(PromptsConfig(), with_bos).render(one_of(FAMILIES[0])).startswith("<|im_start|>def is_leap")
    assert make_template(PromptsConfig(), tokenizer()).render(one_of(FAMILIES[0])).startswith("def is_leap")


def test_a_template_file_that_is_wrong_is_one_sentence(tmp_path):
    wrong = {
        "{{ description": "not a Jinja",
        "{{ nonsense }}": "nonsense",
        "{{ 1 / 0 }}": "cannot be rendered",
        "{{ title + 1 }}": "cannot be rendered",
        "": "renders nothing",
        "{% if kind == 'essay' %}{{ description }}{% endif %}\n": "renders nothing",
    }
    for text, word in wrong.items():
        (tmp_path / "t.jinja").write_text(text)
        with pytest.raises(ConfigError, match=word):
            make_template(PromptsConfig(template=str(tmp_path / "t.jinja")), tokenizer())
    with pytest.raises(ConfigError, match="cannot be read"):
        make_template(PromptsConfig(template=str(tmp_path / "none.jinja")), tokenizer())
    with pytest.raises(ConfigError, match=r"prompts\.system"):
        make_template(PromptsConfig(template="plain", system="x"), tokenizer())


def test_the_digest_follows_the_text_of_the_file(tmp_path):
    file = tmp_path / "t.jinja"
    file.write_text("a")
    first = digest(PromptsConfig(template=str(file)))
    assert len(first) == 16
    file.write_text("b")
    assert digest(PromptsConfig(template=str(file))) != first
    assert digest(PromptsConfig(template="plain")) == ""


def half(**changed) -> Problem:
    """A small problem whose prompts are written out below."""
    shown = (Case(args="[3,[1]]", expected='"\\"\\""'), Case(args="[0,[]]", expected="null"))
    made = Problem(
        problem_id="p",
        family="halves",
        variant="{}",
        difficulty=1,
        split="train",
        title="Half",
        shown=shown,
        cases=shown,
        description="Give half of n.",
        signature="def half(n: int, rest: list) -> str",
        entry_point="half",
        reference_solution="def half(n, rest):\n    return n",
        input_data="",
        expected_output="",
    )
    return made.model_copy(update=changed)


EXAMPLES = """half(3, [1]) -> '""'
half(0, []) -> None"""
PLAIN_END = """def half(n: int, rest: list) -> str:
    \"\"\"Give half of n.

    >>> half(3, [1])
    '""'
    >>> half(0, [])
    None
    \"\"\""""


def test_the_prompts_of_one_problem_word_for_word():
    plain = make_template(PromptsConfig(template="plain"), tokenizer())
    assert plain.render(half()) == WORKED + PLAIN_END
    assert plain.render(half(shown=())).endswith('-> str:\n    """Give half of n.\n    """')
    chat = make_template(PromptsConfig(), tokenizer(chat_template="{{ messages[0].content }}"))
    assert chat.render(half()) == (
        "Write a Python function `def half(n: int, rest: list) -> str`.\n\nGive half of n.\n\nExamples:\n" + EXAMPLES
    )
    assert chat.render(half(shown=())).endswith("\n\nGive half of n.")
    assert (plain.name, plain.stops, chat.name, chat.stops) == ("plain", TOP_LEVEL, "chat", ())


def test_a_question_is_asked_and_answered_as_it_is():
    asked = half(kind="answer")
    plain = make_template(PromptsConfig(template="plain"), tokenizer())
    chat = make_template(PromptsConfig(), tokenizer(chat_template="{{ messages[0].content }}"))
    assert plain.render(asked) == "Question: Give half of n.\nAnswer:"
    assert chat.render(asked) == "Give half of n."
    for template in (plain, chat):
        assert template.completion(asked, "def half(") == "def half("
        assert read_program(template.render(asked), "  ```7```", asked) == "  ```7```"


def test_a_long_description_is_wrapped_and_one_of_lines_is_not():
    template = make_template(PromptsConfig(template="plain"), tokenizer())
    for word, longest in (("word", 94), ("a", 95)):  # of 96, as words are not broken
        words = " ".join([word] * 60)
        lines = template.render(half(description=words)).partition("-> str:\n")[2].splitlines()
        assert max(len(line.replace('"""', "")) for line in lines) == 4 + longest
    words = " ".join(["word"] * 60)
    lines = template.render(half(description=words)).partition("-> str:\n")[2].splitlines()
    assert words in " ".join(line.strip().removeprefix('"""') for line in lines)
    table = f"{words}\na | b"
    assert f"{words}\n    a | b\n" in template.render(half(description=table))


@pytest.mark.parametrize("text", ["a \\ b", 'a """ b', "C:\\new", '"""', "\\"])
def test_whatever_a_description_holds_the_plain_prompt_asks_for_it(text):
    problem = half(description=f"{text} end.")
    prompt = make_template(PromptsConfig(template="plain"), tokenizer()).render(problem)
    (function,) = ast.parse(code_head(prompt, "half") + "\n    pass\n").body
    assert ast.get_docstring(function).startswith(f"{text} end.")


@every(
    "more",
    [
        "def g():",
        "class A:",
        "if x:",
        "for x in y:",
        "print(1)",
        "assert x",
        "import x",
        "from x import y",
        "@f",
        "# comment",
        "```",
        '"""text',
        "<|im_end|>",
        ">>> f(1)",
    ],
)
def test_a_plain_completion_is_cut_where_more_begins(more):
    template = make_template(PromptsConfig(template="plain"), tokenizer())
    completion = "\n    return n\n"
    ends = [found for stop in template.stops if (found := (completion + more).find(stop)) >= 0]
    assert min(ends) == len(completion) - 1
    assert read_program(template.render(half()), completion[: min(ends)], half()) == PLAIN_END + "\n    return n\n"


BODIES = {
    "def half(n, rest):\n    return n": "\n    return n\n",
    "def half(n, rest):\n    'doc'\n    x = [\n        n]\n    return x\n": "\n    x = [\n        n]\n    return x\n",
    "def half(n, rest): return n": "\n    return n\n",
    "def half(n, rest):\n  if n:\n    return n": "\n    if n:\n        return n\n",
    "def half(n, rest):\n\treturn n": "\n    return n\n",
}
WHOLE = (
    "def half(n, other):\n    return n",
    "def half(n):\n    return n",
    "def halve(n, rest):\n    return n",
    "@f\ndef half(n, rest):\n    return n",
    "async def half(n, rest):\n    return n",
    "def half(n, rest):\n    'doc'",
    "x = 1\ndef half(n, rest):\n    return x",
    "def half(",
    "",
)


def test_a_body_goes_on_from_the_signature_and_all_else_is_written_whole():
    template = make_template(PromptsConfig(template="plain"), tokenizer())
    assert {program: template.completion(half(), program) for program in BODIES} == BODIES
    assert [template.completion(half(), program) for program in WHOLE] == [f"\n\n{text.strip()}\n" for text in WHOLE]
    chat = make_template(PromptsConfig(), tokenizer(chat_template=CHATML))
    assert chat.completion(half(), "x = 1\n") == fenced("x = 1") == "```python\nx = 1\n```"


@pytest.mark.parametrize(
    ("prompt", "head"),
    [
        ("def f(x):", "def f(x):"),
        ("def f(x):\n    'doc'", "def f(x):\n    'doc'"),
        ("def g(x):\n    return x\n\n\nasync def f(x):", "async def f(x):"),
        ("def f(x):\n    return x\n\n\ndef f(x):\n", "def f(x):\n"),
        ("def f(x):\n    return x", ""),
        ("def f(x):\n    'doc'\n    pass", ""),
        ("def fg(x):", ""),
        (" def f(x):", ""),
        ("def f(x)", ""),
        ("Write `def f(x):`", ""),
        ("", ""),
    ],
)
def test_a_prompt_is_gone_on_from_where_it_ends_in_the_bare_function(prompt, head):
    assert code_head(prompt, "f") == head


def test_a_completion_that_begins_anew_is_read_by_itself():
    head = "def f(x):"
    for completion in ("def f(x):\n    return 1", "\nHere:\n```python\ndef f(x):\n    return 1\n```"):
        assert read_program(head, completion, half(entry_point="f")).strip() == "def f(x):\n    return 1"
    assert read_program("Asked.", "    def f(x): return 1", half(entry_point="f")).strip() == "def f(x): return 1"
    assert read_program(head, "\n    return 1 +\n", half(entry_point="f")) == "def f(x):\n    return 1 +\n"


def test_a_template_file_gets_all_that_the_page_of_prompts_names(tmp_path):
    file = tmp_path / "own.jinja"
    names = (
        "bos_token",
        "eos_token",
        "system",
        "date",
        "title",
        "description",
        "signature",
        "entry_point",
        "family",
        "kind",
        "more",
    )
    file.write_text("|".join(f"{{{{ {name} }}}}" for name in names) + "\n{{ examples }}\n")
    config = PromptsConfig(template=str(file), system="S", date="2024-02-29", arguments={"more": "M"})
    template = make_template(config, tokenizer(bos="<|im_start|>"))
    shown = [("half(3, [1])", repr('""')), ("half(0, [])", "None")]
    assert template.render(half()) == (
        "<|im_start|>|<eos>|S|2024-02-29|Half|Give half of n.|def half(n: int, rest: list) -> str|half|halves|program|M"
        f"\n{shown}\n"
    )
    assert template.turn_end == tokenizer(bos="<|im_start|>").eos_token_id
    assert (template.name, template.stops) == (str(file), ())
    bare = make_template(PromptsConfig(template=str(file), arguments={"more": ""}), tokenizer())
    assert bare.render(half()).startswith("|<eos>||")


def test_each_template_says_what_was_chosen(tmp_path):
    (tmp_path / "own.jinja").write_text("x")
    for template, chat, says in (
        ("plain", None, "the plain template, as prompts.template asks"),
        ("auto", None, "the plain template, because the model has no chat template"),
        ("chat", CHATML, "with the model's chat template"),
        (str(tmp_path / "own.jinja"), CHATML, f"with the template {tmp_path}/own.jinja"),
    ):
        assert says in make_template(PromptsConfig(template=template), tokenizer(chat_template=chat)).description
    with pytest.raises(ConfigError, match=r"prompts\.arguments"):
        make_template(PromptsConfig(template="plain", arguments={"x": 1}), tokenizer())


@given(
    st.text(
        st.sampled_from(" \n\t\r\x0b\x0c\x1f\x85\u2028\ufeff\x00\ud800`\"'\\\\(:#é") | st.characters(), max_size=40
    ),
    st.booleans(),
)
@example("", True)
@example(" \n\t", True)
def test_whatever_a_model_writes_is_read(completion, begun):
    """Nothing, blanks alone and broken characters are wrong answers; none of them may end a run."""
    prompt = PLAIN_END if begun else "Asked."
    assert isinstance(read_program(prompt, completion, half()), str)
