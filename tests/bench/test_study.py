"""What is timed of a study, and that a busy machine is seen to be busy."""

import json
import os
import time

import pytest

from axiom.bench.study import Load, measure, until_first_sampling
from axiom.bench.watching import watching

STUDY = """
name = "small"
preset = "modular"
seeds = 7
arms = ["expert_iteration", "unverified"]
"""


def test_the_whole_study_beside_each_other_then_some_of_its_seeds(tmp_path):
    path, asked = tmp_path / "small.toml", []
    path.write_text(STUDY)

    def flow(root: str, path: str, parallel: int, shard: int = 0, shards: int = 1) -> list[dict[str, str]]:
        asked.append((parallel, shard, shards))
        time.sleep(0.01)
        return [{}] * (2 * len(range(shard, 7, shards)))

    beside, in_turn = measure(path, 0, 2, flow)
    assert asked == [(0, 0, 1), (1, 0, 7), (1, 1, 7)]
    assert (beside.runs, in_turn.runs) == (14, 4)
    assert in_turn.seconds >= 0.02
    assert beside.seconds >= 0.01


def test_the_time_to_a_run_s_first_sampling_is_that_of_what_it_drew_itself(tmp_path):
    begun = 1e9
    for run, stages in {"own": {"0000/eval_samples": (8.0, 5.0), "0001/samples": (20.0, 6.0)}, "none": {}}.items():
        record = tmp_path / run / "experiment.json"
        record.parent.mkdir()
        record.write_text("{}")
        os.utime(record, (begun, begun))
        for stage, (ended, seconds) in (stages | {"0000/samples": (-50.0, 2.0), "0000/metrics": (1.0, 0.5)}).items():
            manifest = record.parent / "iterations" / f"{stage}.manifest.json"
            manifest.parent.mkdir(parents=True, exist_ok=True)
            manifest.write_text(json.dumps({"info": {"seconds": seconds}}))
            os.utime(manifest, (begun + ended, begun + ended))
    assert list(until_first_sampling(tmp_path)) == pytest.approx([3.0])


@pytest.mark.slow
def test_a_busy_core_is_seen():
    load = Load()
    with watching(load.look):
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            pass
    assert max(load.cores) > 0.1
