"""No credential gets into what is stored: settings that hold one are refused, and the refusal does not repeat it."""

import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator
from prefect.utilities.callables import parameter_schema

from axiom.config import load_config
from axiom.credentials import CREDENTIAL, WITHOUT, hidden, plain
from axiom.errors import ConfigError
from axiom.flows.experiment import experiment
from axiom.flows.report import report
from axiom.flows.smoke import smoke
from axiom.flows.study import study
from axiom.store import Folder
from tests.tables import every

REPOSITORY = Path(__file__).parents[2]
WORD = "hunter2hunter2"
HOLDING = [
    f"s3://me:{WORD}@host/bucket",
    f"https://host/store?token={WORD}",
    f"https://host/?a=1&sig={WORD}",
    f"AWS_SECRET_ACCESS_KEY={WORD}",
    f"x AWS_SESSION_TOKEN={WORD}",
    f"https://host/?X-Amz-Signature={WORD}",
    f"https://host/?api_key={WORD}",
    f"Password={WORD}",
    "hf_" + WORD * 3,
    "sk-" + "aB3" * 16,
    "sk-proj-" + "aB3_-" * 8,
    "sk-ant-api03-" + "aB3-" * 8,
    "ghp_" + "aB3" * 12,
    "password=hunter2",
    f"https://host/#access_token={WORD}",
    f"AWS_SECRET_ACCESS_KEY=a/b+{WORD}",
    "AKIA" + "Z2" * 8,
]
FREE = [
    "",
    "artifacts",
    "/srv/axiom/artifacts",
    "s3://bucket/axiom",
    "abfs://box@account.dfs.core.windows.net/axiom",
    "multitask-generation-baseline-v1",
    "/mnt/disk-shared-scratch-volume1/axiom",
    "risk-averse-selection-with-replay",
    "mask-language-model-pretraining",
    "odd/token=bpe/x",
    "token=bpe",
    "s3://bucket/token=bytelevel/run1",
    "sk-learn-baseline-experiment-1",
    "half_life_of_a_very_long_experiment_name_1",
    "secretary-problem",
    "ssh://me@host/store",
    "Qwen/Qwen2.5-Coder-1.5B-Instruct",
    "memory://a:b/c",
    "design=1",
    "all-linear",
]


@every("text", HOLDING)
def test_what_a_library_says_is_shown_without_its_credentials(text):
    shown = hidden(f"cannot connect to {text} now")
    assert shown.startswith("cannot connect to")
    assert shown.endswith("*** now")
    assert not re.search(CREDENTIAL, shown)
    assert hidden("cannot connect to s3://bucket/axiom now") == "cannot connect to s3://bucket/axiom now"


@every("text", HOLDING)
@every("field", ["model.path", "model.adapter", "yoke", "problems.families", "name"])
def test_a_setting_with_a_credential_is_refused_and_not_repeated(field: str, text: str):
    value = [text] if field == "problems.families" else text
    with pytest.raises(ConfigError) as caught:
        load_config(None, **{field: value})
    if field != "name":  # which must be a folder's in the first place
        assert "holds a credential" in str(caught.value)
        assert str(caught.value).startswith(f"{field.split('.')[-1]} = ")
        assert text not in str(caught.value)
        assert WORD not in str(caught.value)


@every("text", HOLDING)
def test_a_stores_address_with_a_credential_is_refused_before_it_is_opened(text: str):
    with pytest.raises(ConfigError, match=r"the store's address .* holds a credential") as caught:
        Folder(text)
    assert WORD not in str(caught.value)


@every("text", FREE)
def test_what_holds_none_is_let_through(text: str):
    assert plain(text) == text
    assert Draft202012Validator(WITHOUT).is_valid(text)


@given(st.text(max_size=30), st.sampled_from(HOLDING), st.text(max_size=30))
def test_the_schema_refuses_what_the_library_does(before: str, text: str, after: str):
    for whole in (before, before + after, f"{before} {text} {after}"):
        assert bool(re.search(CREDENTIAL, whole)) != Draft202012Validator(WITHOUT).is_valid(whole)


@pytest.mark.parametrize("flow", [experiment, smoke, report, study], ids=lambda flow: flow.name)
def test_the_server_refuses_a_form_with_a_credential_and_stores_nothing_of_it(flow):
    """Prefect checks a run's parameters by this schema before the run exists."""
    validator = Draft202012Validator(parameter_schema(flow).model_dump_for_openapi())
    required = {"path": "study.toml"} if flow is study else {"name": "calm"} if flow is report else {"config": {}}
    assert list(validator.iter_errors({**required, "root": "s3://bucket/axiom"})) == []
    for text in HOLDING:
        assert list(validator.iter_errors({**required, "root": text}))
    if "config" in required:
        for section, field in (("model", "path"), ("model", "adapter"), ("training", "target_modules")):
            assert list(validator.iter_errors({"config": {section: {field: HOLDING[0]}}}))
        assert list(validator.iter_errors({"config": {"training": {"target_modules": [HOLDING[1]]}}}))


def test_nothing_of_ours_writes_or_reads_a_pickle():
    unsafe = re.compile(
        r"^\s*(?:import|from)\s+(?:pickle|cloudpickle|dill|joblib|shelve)\b|torch\.(?:load|save)\(|allow_pickle\s*=\s*(?!False)",
        re.M,
    )
    files = [path for folder in ("axiom", "flows", "tasks") for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(files) > 100
    assert [str(path) for path in files if unsafe.search(path.read_text())] == []
