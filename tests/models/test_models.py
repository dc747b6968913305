"""Where weights come from, and the sentence for each way it can fail."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from axiom.config import ExperimentConfig, ModelConfig
from axiom.content import content_digest
from axiom.errors import ConfigError
from axiom.learners import language
from axiom.models import fingerprint, load_tokenizer, resolve_device, resolve_model, stop_tokens
from tests.models.tiny_model import make_tiny_model


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.gguf"])
def test_the_fingerprint_reads_weights_of_every_format(tmp_path, name):
    (tmp_path / name).write_bytes(b"one")
    before = fingerprint(tmp_path)
    (tmp_path / name).write_bytes(b"two")
    assert fingerprint(tmp_path) != before


def test_a_model_folder_is_itself(tmp_path):
    assert resolve_model(str(make_tiny_model(tmp_path))) == tmp_path


@pytest.mark.parametrize("path", ["/nowhere/model", "./missing", "a/b/c", "no-such-model"])
def test_a_path_that_does_not_exist_is_one_sentence(path):
    with pytest.raises(ConfigError, match=r"model.path = .* does not exist; set model.path"):
        resolve_model(path)


def test_a_folder_without_a_model_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no config.json; set model.path"):
        resolve_model(str(tmp_path))


def test_a_hub_name_off_line_is_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"neither a folder nor on the hub .* set model.path"):
        resolve_model("nobody/nothing")


def test_fingerprints_tell_weights_apart(tmp_path):
    one, two, same = (make_tiny_model(tmp_path / name, seed) for name, seed in (("a", 1), ("b", 2), ("c", 1)))
    assert fingerprint(one) == fingerprint(same) != fingerprint(two)


def flip(file, offset):
    """Another value at `offset`, with the file's size and times as they were."""
    before = file.stat()
    with file.open("r+b") as stream:
        stream.seek(offset)
        found = stream.read(1)
        stream.seek(offset)
        stream.write(bytes([found[0] ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model.gguf"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.7, 0.999])
def test_one_byte_anywhere_makes_another_model(tmp_path, monkeypatch, name, share):
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / name
    file.write_bytes(bytes(range(256)) * 2000)
    before = fingerprint(tmp_path)
    flip(file, int(share * file.stat().st_size))
    assert fingerprint(tmp_path) != before


def test_a_setting_makes_another_model_and_a_release_of_transformers_does_not(tmp_path):
    folder = make_tiny_model(tmp_path)
    before, settings = fingerprint(folder), json.loads((folder / "config.json").read_text())
    for change, same in (
        ({"transformers_version": "9"}, True),
        ({"dtype": "float16"}, True),
        ({"rms_norm_eps": 1e-3}, False),
    ):
        (folder / "config.json").write_text(json.dumps(settings | change))
        assert (fingerprint(folder) == before) == same, change


def test_the_digest_of_a_settled_file_is_kept_and_that_of_a_fresh_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "weights.bin"
    file.write_bytes(b"one")
    expected = hashlib.sha256(b"one").hexdigest()
    assert content_digest(file) == expected
    assert not (tmp_path / "cache").exists(), "a second write within a tick of the clock would not be seen"
    monkeypatch.setattr("axiom.content.SETTLED_SECONDS", -1.0)
    assert content_digest(file) == expected
    (kept,) = (tmp_path / "cache" / "digests").iterdir()
    kept.write_text("read back")
    assert content_digest(file) == "read back"
    flip(file, 1)
    assert content_digest(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("axiom.content.SETTLED_SECONDS", -1.0)
    (tmp_path / "x").write_bytes(b"x")
    assert content_digest(tmp_path / "x") == hashlib.sha256(b"x").hexdigest()


def test_the_end_of_turn_stops(tmp_path):
    folder = make_tiny_model(tmp_path)
    assert stop_tokens(folder, load_tokenizer(ModelConfig(path=str(folder)))) == {0}


def test_cuda_without_a_gpu_is_one_sentence():
    import torch

    if torch.cuda.is_available():
        assert resolve_device(ModelConfig(device="cuda")) == "cuda"
        return
    with pytest.raises(ConfigError, match=r"torch sees no GPU; run axiom doctor"):
        resolve_device(ModelConfig(device="cuda"))


def test_importing_sampling_and_training_loads_no_torch():
    code = (
        "import sys, axiom.models, axiom.sampling, axiom.training; print('torch' in sys.modules, 'peft' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.slow
def test_the_embedded_model_is_converted_once_and_whole_without_a_word(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path))
    folder = resolve_model("smollm2-135m")
    assert capfd.readouterr() == ("", "")
    written = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(written)
    assert "quantization_config" not in (folder / "config.json").read_text()
    assert resolve_model("smollm2-135m") == folder
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == written
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == [folder.name]


def merging(iterations: int, **vllm) -> ExperimentConfig:
    return ExperimentConfig.model_validate(
        {
            "iterations": iterations,
            "training": {"mode": "merge", "lora_r": 16},
            "model": {"device": "cpu"},
            "sampling": {"engine": "vllm", "vllm": vllm},
        }
    )


def test_a_merged_adapter_that_outgrows_the_engine_is_refused_at_the_start():
    assert [language.last_rank(merging(count)) for count in (0, 1, 20)] == [16, 16, 320]
    language._check_merged_rank(merging(20, max_lora_rank=320))
    language._check_merged_rank(merging(100, weights="merged"))
    with pytest.raises(ConfigError, match=r"ends at rank 336, .* 21 iterations, and the engine takes 320; set"):
        language._check_merged_rank(merging(21, max_lora_rank=320))


def test_what_merging_costs_is_said_at_the_start(tmp_path):
    tree = {"path": str(make_tiny_model(tmp_path)), "device": "cpu"}
    said = {
        mode: language.LanguageLearner(
            ExperimentConfig.model_validate({"iterations": 20, "model": tree, "training": {"mode": mode}})
        ).description
        for mode in ("merge", "continue")
    }
    assert "adds 16 to the adapter's rank in each iteration, up to 320 after 20" in said["merge"]
    assert "rank" not in said["continue"]
