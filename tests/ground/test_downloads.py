"""Copies of far adapters: one download a content, kept for the next run, shared by processes, and not without end."""

import functools
import os
from pathlib import Path

import pytest

from axiom.config import ExperimentConfig
from axiom.downloads import KEPT, Downloads
from axiom.errors import StorageError
from axiom.experiment import Experiment
from axiom.experiment.running import Runtime
from axiom.folders import Folder
from axiom.records import Gold
from axiom.store import StageStore, Writer
from tests.object_store import address_name


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AXIOM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def weights(out: Writer, data: bytes) -> None:
    out.table("losses", [Gold(sample_id="s", problem_id="p", iteration=1, weight=1, reason="r", target="x")], Gold)
    path = out.directory("adapter") / "deep/weights.bin"
    path.parent.mkdir()
    path.write_bytes(data)


def adapter(stages: StageStore, number: int):
    folder, work = f"iterations/{number}", functools.partial(weights, data=bytes([number]) * 10)
    stages.run("adapter", folder, settings=number, version="1", inputs={}, work=work)
    return stages.manifest("adapter", folder)


def kept(cache: Path) -> list[int]:
    return sorted(path.read_bytes()[0] for path in cache.rglob("weights.bin"))


def test_a_download_is_made_once_a_content(cache, request):
    stages, downloads = StageStore(Folder(f"memory://{address_name(request)}")), Downloads()
    manifest = adapter(stages, 1)
    paths = {downloads.get(stages.root, manifest, "adapter") for _ in range(3)}
    assert [(path / "deep/weights.bin").read_bytes() for path in paths] == [b"\1" * 10]
    assert not list(cache.rglob("*.parquet")), "the sub-folder alone"
    downloads.close()
    stages.root.join("iterations/1").remove("adapter/deep/weights.bin")
    assert Downloads().get(stages.root, manifest, "adapter") in paths, "the next run has it without the store"


def test_old_copies_go_unless_somebody_uses_them(cache, request):
    stages, mine, theirs = StageStore(Folder(f"memory://{address_name(request)}")), Downloads(), Downloads()
    theirs.get(stages.root, adapter(stages, 100), "adapter")
    for number in range(8):
        mine.get(stages.root, adapter(stages, number), "adapter")
    assert kept(cache) == [*range(8 - KEPT, 8), 100]
    theirs.close()
    mine.get(stages.root, adapter(stages, 8), "adapter")
    assert kept(cache) == list(range(9 - KEPT, 9))
    mine.close()


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_copy_is_downloaded_again(cache, request, damage):
    stages = StageStore(Folder(f"memory://{address_name(request)}"))
    manifest = adapter(stages, 1)
    file = Downloads().get(stages.root, manifest, "adapter") / "deep/weights.bin"
    file.unlink() if damage == "remove" else file.write_bytes(b"\1")
    assert (Downloads().get(stages.root, manifest, "adapter") / "deep/weights.bin").read_bytes() == b"\1" * 10


def test_what_is_not_what_the_manifest_says_is_not_used(cache, request):
    stages = StageStore(Folder(f"memory://{address_name(request)}"))
    manifest = adapter(stages, 1)
    stages.root.join("iterations/1").write_bytes("adapter/deep/weights.bin", b"other")
    with pytest.raises(StorageError, match=r"weights.bin does not have the digest in its manifest; resume"):
        Downloads().get(stages.root, manifest, "adapter")
    assert list((cache / "adapters").iterdir()) == []


def test_what_a_killed_download_left_goes_after_a_day(cache, request):
    stages = StageStore(Folder(f"memory://{address_name(request)}"))
    for name, day in (("new", None), ("old", (0, 0))):
        (cache / f"adapters/.tmp-{name}").mkdir(parents=True)
        if day:
            os.utime(cache / f"adapters/.tmp-{name}", day)
    Downloads().get(stages.root, adapter(stages, 1), "adapter")
    assert [path.name for path in (cache / "adapters").iterdir() if path.name.startswith(".tmp")] == [".tmp-new"]


def test_a_run_uses_the_cache(cache, request):
    experiment = Experiment(f"memory://{address_name(request)}", ExperimentConfig(name="far"))
    work = functools.partial(weights, data=b"w")
    handle = experiment.stages.run("adapter", "iterations/0001", settings=1, version="1", inputs={}, work=work)
    handle = handle.model_copy(update={"info": {"adapter_folder": "iterations/0001"}})
    run = Runtime(experiment)
    assert len({run.policy(handle).adapter for _ in range(3)}) == 1
    assert [path.read_bytes() for path in cache.rglob("weights.bin")] == [b"w"]
    run.close()


def test_a_local_adapter_is_used_where_it_lies(tmp_path, cache):
    stages = StageStore(Folder(str(tmp_path / "experiment")))
    found = Downloads().get(stages.root, adapter(stages, 1), "adapter")
    assert found == tmp_path / "experiment/iterations/1/adapter"
    assert not cache.exists()
