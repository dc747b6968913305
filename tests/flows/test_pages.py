"""What an iteration's page in Prefect says, and that a model's text stays text there; names of a schedule's runs."""

from datetime import UTC, datetime

import pytest
from markdown_it import MarkdownIt

from axiom.config import ExperimentConfig, load_config
from axiom.errors import ConfigError
from axiom.experiment import Experiment
from axiom.experiment.naming import settled
from axiom.flows import iteration_page
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation
from axiom.learners.unread import ignored
from axiom.records import Metric, Sample, Verdict
from axiom.store import write_parquet

HOSTILE = (
    "</code><script>alert(1)</script>\n```\n# heading\n````\n<img src=x onerror=alert(1)>\u202e\x1b[2J " + "y" * 10**6
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Experiment:
    root = str(tmp_path_factory.mktemp("store"))
    sets = ["modular.p=13", "sampling.samples_per_problem=4", "replay.rounds=2"]
    without_server(load_config("modular", sets, name="mine", iterations=2), root, Operation(gpu="never"))
    return Experiment.open(root, "mine")


def page(run: Experiment, iteration: int) -> str:
    own = run.stages.read(f"iterations/{iteration:04d}", "metrics", Metric)
    return iteration_page.page(run, iteration, own, "Undetermined")


def test_a_page_has_figures_stages_and_programs_with_prompt_and_verdict(run):
    text = page(run, 2)
    for heading in ("Accuracy", "Outcomes of the training samples", "Training", "Stages", "Programs that failed"):
        assert f"\n## {heading}\n" in text
    shares = {r.name: r.value for r in run.stages.read("iterations/0002", "metrics", Metric) if r.pooled}
    assert f"| wrong answer | {shares['outcome_wrong_answer']:.1%} |" in text
    assert f"| programs trained on | {shares['gold']:g} |" in text
    assert f"| old | {shares['gold'] - shares['gold_fresh']:g} |" in text
    assert "Peak memory so far: " in text
    drawn = run.stages.manifest("samples", "iterations/0002")
    assert f"| sample | {drawn.files['samples.parquet'].rows} | {drawn.info['seconds']:.1f} |" in text
    assert text.count("\n### modular, difficulty 1") == min(10, text.count("\n### "))
    assert "wrong answer: 0 of 1 hidden cases" in text
    assert "inspect mine --iteration 2 --root " in text
    assert "(http://127.0.0.1:8765/#run=mine&iteration=2)" in text
    assert "## Accuracy" in page(run, 0), "the base model's, whose samples are those of its evaluation"
    assert "```text\n" in page(run, 0)


def test_what_a_model_wrote_stays_text(run, tmp_path):
    root = str(tmp_path)
    made = Experiment.create(root, run.config)
    made.save()
    for split, rows in run.problems.items():
        write_parquet(made.folder.join("problems"), split, rows, type(rows[0]))
    like = run.stages.read("iterations/0001", "samples", Sample)[0]
    samples = [like.model_copy(update={"completion": HOSTILE, "code": HOSTILE})]
    verdict = run.stages.read("iterations/0001", "verdicts", Verdict)[0]
    verdicts = [verdict.model_copy(update={"sample_id": like.sample_id, "detail": HOSTILE, "outcome": "wrong_answer"})]
    folder = made.folder.join("iterations/0001")
    write_parquet(folder, "samples", samples, Sample)
    write_parquet(folder, "verdicts", verdicts, Verdict)
    text = iteration_page.page(made, 1, [], "Undetermined")
    assert len(text) < 10_000
    kinds = [token.type for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)]
    assert "html_block" not in kinds
    assert kinds.count("heading_open") == 4, "none of the model's own"
    shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<script" not in shown
    assert "<img" not in shown
    assert "\u202e" not in text
    assert "\x1b" not in text


DAY = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)


def test_the_places_of_a_name_are_filled_in(tmp_path):
    root = str(tmp_path)
    for name in ("nightly-2026-03-01-2", "nightly-2026-03-01-10", "nightly-2026-03-02-70", "nightly-x"):
        Experiment.create(root, ExperimentConfig(name=name)).save()

    def named(name: str, *known: str) -> str:
        return settled(ExperimentConfig(name=name), root, DAY, known).name

    assert named("plain") == "plain"
    assert named("nightly-{date}") == "nightly-2026-03-01"
    assert named("nightly-{date}-{n}") == "nightly-2026-03-01-11"
    assert named("{n}") == "1"
    assert named("nightly-{date}-{n}", "axiom", "nightly-2026-02-01-4") == "nightly-2026-02-01-4", "a retry's own"
    assert named("nightly-{date}", "nightly-2026-02-01-4") == "nightly-2026-03-01", "another's"


@pytest.mark.parametrize("name", ["{day}", "{n", "a{}b", "{date} {n}", "../{n}"])
def test_no_other_place_is_a_name(name):
    with pytest.raises(ConfigError, match="names a folder"):
        load_config(name=name)


def test_a_place_that_is_not_filled_in_makes_no_folder(tmp_path):
    with pytest.raises(ConfigError, match="not filled in"):
        Experiment.create(str(tmp_path), ExperimentConfig(name="a-{n}"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_learner_ignores_is_known():
    assert ignored(load_config("modular")) == {}
    assert ignored(load_config("quickstart")) == {}
    wrong = load_config("modular", **{"problems.train_size": 5, "training.lora_r": 8, "training.mode": "restart"})
    assert ignored(wrong) == {"a modular model does not read": ["problems.train_size", "training.lora_r"]}
    assert ignored(load_config("quickstart", **{"modular.p": 13})) == {"a language model does not read": ["modular.p"]}
    paused = load_config("quickstart", arm="frozen", **{"curriculum.up": 0.9, "foothold.hints_until": 4})
    assert ignored(paused) == {
        "arm 'frozen' does not read": ["replay.rounds"],
        "curriculum.kind = 'none' leaves unread": ["curriculum.up"],
        "arm 'frozen' draws nothing and does not read": ["foothold.hints_until"],
    }
