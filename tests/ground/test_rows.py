"""Rows that are read a part at a time are those of the whole table."""

import pyarrow.parquet as pq
import pytest

from axiom import store
from axiom.errors import DataError
from axiom.folders import Folder
from axiom.records import Gold, Sample
from axiom.rows import Rows, by_problem, in_parts, where
from axiom.store import StageStore, write_parquet
from tests.object_store import address_name


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(store, "KEPT_ROWS", 5)
    monkeypatch.setattr(store, "PART_ROWS", 4)


@pytest.fixture(params=["near", "far"])
def stages(request, tmp_path) -> StageStore:
    return StageStore(Folder(str(tmp_path) if request.param == "near" else f"memory://{address_name(request)}"))


def sample(name: str, problem: str) -> Sample:
    texts = {"purpose": "train", "completion": "c", "code": "x", "finish_reason": "stop", "policy_version": "base"}
    numbers = {"iteration": 1, "index": 0, "token_count": 1, "logprob": None, "seed": 0, "temperature": 1.0}
    return Sample(sample_id=name, problem_id=problem, **texts, **numbers)


ROWS = [sample(f"s{number}", f"p{number // 7}") for number in range(30)]


def stored(stages: StageStore, rows: list[Sample]) -> Rows[Sample]:
    write_parquet(stages.root, "samples", rows, Sample)
    found = stages.rows("", "samples", Sample)
    assert isinstance(found, Rows) == (len(rows) > 5)
    return found


def test_they_are_those_of_the_whole_table_at_each_pass(stages):
    rows = stored(stages, ROWS)
    assert [list(rows), list(rows)] == [ROWS, ROWS]
    assert (len(rows), rows[7], rows[-2:]) == (30, ROWS[7], ROWS[-2:])
    assert stored(stages, ROWS[:5]) == ROWS[:5]
    assert stored(stages, []) == []


@pytest.mark.parametrize("keep", [True, False])
def test_a_part_of_them_is_the_same_in_parts_and_whole(stages, keep):
    rows, ids = stored(stages, ROWS), {f"s{number}" for number in range(0, 30, 4)}
    some = where(rows, "sample_id", ids, keep)
    assert isinstance(some, Rows)
    assert list(some) == where(ROWS, "sample_id", ids, keep)
    assert len(some) == len(where(ROWS, "sample_id", ids, keep))
    assert list(where(some, "problem_id", {"p2"})) == [
        row for row in where(ROWS, "sample_id", ids, keep) if row.problem_id == "p2"
    ]


def test_a_problem_s_rows_come_together(stages):
    assert list(by_problem(stored(stages, ROWS))) == list(by_problem(ROWS))
    mixed = [*ROWS, ROWS[0]]
    assert len(dict(by_problem(mixed))["p0"]) == 8
    with pytest.raises(DataError, match="the samples of problem p0 do not stand together; sort the table"):
        list(by_problem(stored(stages, mixed)))


def test_a_long_table_of_an_earlier_version_is_read(tmp_path):
    stages = StageStore(Folder(str(tmp_path)))
    table = Sample.to_table(ROWS).drop_columns(["thinking_tokens"])
    pq.write_table(table, tmp_path / "samples.parquet")
    assert list(stages.rows("", "samples", Sample)) == ROWS
    with pytest.raises(DataError, match=r"lacks the column 'weight' of a Gold row"):
        list(stages.rows("", "samples", Gold))


@pytest.mark.parametrize("damage", ["missing", "rubbish", "cut"])
def test_what_cannot_be_read_is_named(tmp_path, damage):
    stages = StageStore(Folder(str(tmp_path)))
    stored(stages, ROWS)
    file = tmp_path / "samples.parquet"
    data = file.read_bytes()
    file.unlink() if damage == "missing" else file.write_bytes(b"rubbish" if damage == "rubbish" else data[:-9])
    with pytest.raises(DataError, match=r"samples.parquet (does not exist|is not a readable Parquet file)"):
        list(stages.rows("", "samples", Sample))


def test_a_table_is_written_in_groups_and_a_short_one_as_ever(tmp_path, monkeypatch):
    """A short table has the bytes that a single write gives: digests of earlier runs hold."""
    stages = StageStore(Folder(str(tmp_path)))
    for count in (0, 1, 30):
        stages.run(
            "s",
            "i",
            settings=count,
            version="1",
            inputs={},
            work=lambda out, n=count: out.table("t", iter(ROWS[:n]), Sample),
        )
        pq.write_table(Sample.to_table(ROWS[:count]), tmp_path / "whole.parquet", compression="zstd")
        assert (tmp_path / "i/t.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    monkeypatch.setattr(store, "GROUP_ROWS", 8)
    handle = stages.run(
        "g", "i", settings=1, version="1", inputs={}, work=lambda out: out.table("g", iter(ROWS), Sample)
    )
    assert handle.rows == {"g": 30}
    assert pq.ParquetFile(tmp_path / "i/g.parquet").num_row_groups == 4
    assert stages.read("i", "g", Sample) == ROWS


def test_parts_are_as_long_as_they_may_be():
    assert list(in_parts(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(in_parts([], 3)) == [[]]
    assert list(in_parts([1, 2], 2)) == [[1, 2]]
