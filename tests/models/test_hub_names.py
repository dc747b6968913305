"""Models named as on the hub, from a cache laid out as the hub's own client lays it out, without a network."""
# ruff: noqa: TID253

import shutil

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from axiom.config import ModelConfig, load_config
from axiom.errors import ConfigError
from axiom.learners import check
from axiom.models import fingerprint, load_model, resolve_model
from tests.models.test_folders import bin_shards, old_pickle, sharded
from tests.models.tiny_model import make_tiny_model

NAME, COMMIT = "someone/tiny", "5f1c6b5e0d1d4f3a8f6f2f6b7a9c0d1e2f3a4b5c"


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    home = tmp_path / "models--someone--tiny"
    (home / "refs").mkdir(parents=True)
    (home / "refs/main").write_text(COMMIT)
    return make_tiny_model(home / "snapshots" / COMMIT)


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def pickled_beside_another_format(folder):
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    pickled(folder)


@pytest.mark.parametrize(
    "change", [lambda folder: None, sharded, pickled, bin_shards, old_pickle, pickled_beside_another_format]
)
def test_weights_of_any_form_are_found(snapshot, change):
    ids = torch.tensor([[5, 6, 7]])
    expected = AutoModelForCausalLM.from_pretrained(snapshot)(ids).logits
    change(snapshot)
    assert resolve_model(NAME) == snapshot
    check(load_config(None, **{"model.path": NAME, "model.device": "cpu"}))
    torch.testing.assert_close(load_model(ModelConfig(path=NAME, dtype="float32", device="cpu"))(ids).logits, expected)


def test_pickles_have_fingerprints_of_their_content(snapshot):
    pickled(snapshot)
    before = fingerprint(resolve_model(NAME))
    state = torch.load(snapshot / "pytorch_model.bin")
    state["model.norm.weight"][3] += 1
    torch.save(state, snapshot / "pytorch_model.bin")
    assert fingerprint(resolve_model(NAME)) != before


LACKING = {
    "no shard": (lambda folder: bin_shards(folder)[0].unlink(), "which its index names"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors or pytorch"),
    "not there": (shutil.rmtree, "neither a folder nor on the hub as seen from here"),
}


@pytest.mark.parametrize("fault", LACKING)
def test_what_the_cache_lacks_and_no_network_brings_is_one_sentence(snapshot, fault):
    change, sentence = LACKING[fault]
    change(snapshot)
    with pytest.raises(ConfigError, match=sentence) as caught:
        check(load_config(None, **{"model.path": NAME, "model.device": "cpu"}))
    assert "\n" not in str(caught.value)
