"""What is timed of a study, and that a busy machine is seen to be busy."""

import time

import pytest

from axiom.bench.study import Load, measure
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


@pytest.mark.slow
def test_a_busy_core_is_seen():
    load = Load()
    with watching(load.look):
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            pass
    assert max(load.cores) > 0.1
