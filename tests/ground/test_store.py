"""The store: what is done is reused, what is damaged is noticed, what is unfinished is invisible."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st
from safetensors import SafetensorError

from axiom.errors import DataError, StorageError
from axiom.records import Gold, Problem, Record
from axiom.store import KEPT_ROWS, Folder, Handle, StageStore, Writer, hash_json, read_parquet, write_parquet


def gold(number: int) -> Gold:
    return Gold(sample_id=str(number), problem_id="p", iteration=1, weight=1.0, reason="verified", target="x")


class Counter:
    """A stage body that counts how often it ran."""

    def __init__(self, rows: int = 3) -> None:
        self.calls, self.rows = 0, rows

    def __call__(self, out: Writer) -> None:
        self.calls += 1
        out.table("gold", [gold(i) for i in range(self.rows)], Gold)
        (out.directory("adapter") / "weights.bin").write_bytes(b"w" * 100)


@pytest.fixture
def stages(tmp_path: Path) -> StageStore:
    return StageStore(Folder(str(tmp_path / "experiment")))


def run(stages: StageStore, work: Counter, settings: object = 1, version: str = "1", **inputs: Handle) -> Handle:
    return stages.run("gold", "iterations/0001", settings=settings, version=version, inputs=inputs, work=work)


def test_a_second_run_reuses_and_reads_the_same_rows(stages):
    work = Counter()
    first, second = run(stages, work), run(stages, work)
    assert (work.calls, first.reused, second.reused) == (1, False, True)
    assert first.digest == second.digest
    assert stages.read("iterations/0001", "gold", Gold) == [gold(i) for i in range(3)]


def test_rows_are_read_anew_once_their_file_is_another(stages, tmp_path):
    run(stages, Counter())
    first = stages.read("iterations/0001", "gold", Gold)
    first.clear()  # what a caller does with its list is its own affair
    assert len(stages.read("iterations/0001", "gold", Gold)) == 3
    run(stages, Counter(rows=5), settings=2)
    assert len(stages.read("iterations/0001", "gold", Gold)) == 5
    path = tmp_path / "experiment/iterations/0001/gold.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        stages.read("iterations/0001", "gold", Gold)


def test_few_rows_are_kept(stages):
    run(stages, Counter(rows=KEPT_ROWS + 1))
    run_again = StageStore(stages.root)
    before = run_again.read("iterations/0001", "gold", Gold)
    assert run_again.read("iterations/0001", "gold", Gold)[0] is not before[0]
    small = StageStore(Folder(stages.root.at("small")))
    run(small, Counter())
    before = small.read("iterations/0001", "gold", Gold)
    assert small.read("iterations/0001", "gold", Gold)[0] is before[0]


def beside(stages: StageStore, tmp_path: Path, name: str = "second") -> StageStore:
    second = StageStore(Folder(str(tmp_path / name)))
    second.others = [stages]
    return second


def test_a_stage_of_the_same_key_is_taken_from_another_store(stages, tmp_path):
    work = Counter()
    first = run(stages, work)
    second = beside(stages, tmp_path)
    taken = run(second, work)
    assert (work.calls, taken.reused, taken.digest) == (1, True, first.digest)
    assert second.manifest("gold", "iterations/0001") == stages.manifest("gold", "iterations/0001")
    assert second.read("iterations/0001", "gold", Gold) == [gold(i) for i in range(3)]
    assert (tmp_path / "second/iterations/0001/adapter/weights.bin").read_bytes() == b"w" * 100
    for key in ({"settings": 2}, {"version": "2"}, {"before": first}):
        other = beside(stages, tmp_path, name="-".join(key))
        assert not run(other, work, **key).reused
    assert work.calls == 4


@pytest.mark.parametrize("damage", ["removed", "changed", "pruned"])
def test_a_damaged_stage_of_another_store_is_not_taken(stages, tmp_path, damage):
    work = Counter()
    run(stages, work)
    weights = tmp_path / "experiment/iterations/0001/adapter/weights.bin"
    if damage == "removed":
        weights.unlink()
    elif damage == "changed":
        weights.write_bytes(b"v" * 100)
    else:
        stages.prune("gold", "iterations/0001", "adapter/")
    second = beside(stages, tmp_path)
    assert not run(second, work).reused
    assert work.calls == 2
    assert second.intact(second.manifest("gold", "iterations/0001"))


def test_other_settings_code_or_inputs_compute_again(stages, tmp_path):
    work = Counter()
    base = run(stages, work)
    other = base.model_copy(update={"digest": "0" * 64})
    for change in ({"settings": 2}, {"version": "2"}, {"problems": base}, {"problems": other}):
        before = work.calls
        run(stages, work, **change)
        assert work.calls == before + 1, change


@pytest.mark.parametrize("name", ["gold.parquet", "adapter/weights.bin"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_damage_is_noticed_and_repaired(stages, tmp_path, name, damage):
    work = Counter()
    first = run(stages, work)
    file = tmp_path / "experiment/iterations/0001" / name
    data = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if damage == "truncate" else bytes([data[0] ^ 1]) + data[1:])
    fresh = StageStore(stages.root)
    again = run(fresh, work)
    assert work.calls == 2
    assert again.digest == first.digest
    assert file.read_bytes() == data


@pytest.mark.parametrize("text", ["", "{", '{"stage": "gold"}', "null"])
def test_a_damaged_manifest_is_no_manifest(stages, tmp_path, text):
    work = Counter()
    run(stages, work)
    (tmp_path / "experiment/iterations/0001/gold.manifest.json").write_text(text)
    run(StageStore(stages.root), work)
    assert work.calls == 2


def test_a_failing_stage_leaves_nothing(stages, tmp_path):
    def work(out: Writer) -> None:
        out.table("gold", [gold(1)], Gold)
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run(stages, work)
    assert list((tmp_path / "experiment/iterations/0001").iterdir()) == []


THREADS = """
import os, sys
from axiom.records import Gold
from axiom.store import Folder, StageStore, write_parquet
row = Gold(sample_id="s", problem_id="p", iteration=1, weight=1.0, reason="verified", target="x")
folder = Folder(sys.argv[1])
write_parquet(folder, "gold", [row] * 10_000, Gold)
before = sorted(os.listdir("/proc/self/task"))
assert StageStore(folder).read("", "gold", Gold) == [row] * 10_000
print(before == sorted(os.listdir("/proc/self/task")))
"""


def test_reading_a_table_starts_no_thread(tmp_path):
    """A thread of Arrow that lets go of Python's file while the interpreter ends aborts the process: exit code 134."""
    found = subprocess.run(
        [sys.executable, "-c", THREADS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert found.stdout == "True\n", found.stderr


ELSEWHERE = {
    "no right to a model's config": PermissionError(errno.EACCES, "Permission denied", "/models/m/config.json"),
    "a full disk under a cache": OSError(errno.ENOSPC, "No space left on device"),
    "a full disk in words": SafetensorError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    ),
    "a file that is not there": FileNotFoundError(errno.ENOENT, "No such file or directory", "/models/m/config.json"),
    "a broken network": ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_a_stage_s_work_meets_elsewhere_keeps_its_own_words(stages, kind):
    def work(out: Writer) -> None:
        out.table("gold", [gold(1)], Gold)
        raise ELSEWHERE[kind]

    with pytest.raises(type(ELSEWHERE[kind])) as caught:
        run(stages, work)
    assert caught.value is ELSEWHERE[kind]


@pytest.mark.parametrize("writes", ["table", "json", "a file", "safetensors"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, writes):
    """A real disk of 64 KiB, in a mount namespace of its own so that nothing stays behind."""
    script = 'mount -t tmpfs -o size=64k tmpfs "$1" && "$2" -c "$3" "$1/store" "$4" && find "$1/store" -type f'
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    found = subprocess.run(
        ["unshare", "--mount", *user, "bash", "-c", script, "", str(tmp_path), sys.executable, FILL, writes],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert "the disk of" in found.stdout, found.stderr
    assert "is full; free some space and resume" in found.stdout
    assert found.stdout.count("\n") == 1, "no file is left"


FILL = """
import sys, numpy
from axiom.errors import StorageError
from axiom.records import Gold
from axiom.store import Folder, StageStore
from safetensors.numpy import save_file

def work(out):
    match sys.argv[2]:
        case "table":
            rows = numpy.random.default_rng(0).bytes(200_000).hex()
            out.table("t", [Gold(sample_id=rows, problem_id="p", iteration=1, weight=1.0, reason="r", target="")], Gold)
        case "json":
            out.json("j", "x" * 200_000)
        case "a file":
            (out.directory("adapter") / "weights.bin").write_bytes(bytes(200_000))
        case "safetensors":
            save_file({"w": numpy.zeros(50_000, "f4")}, out.directory("adapter") / "adapter_model.safetensors")

try:
    StageStore(Folder(sys.argv[1])).run("s", "i", settings=1, version="1", inputs={}, work=work)
except StorageError as error:
    print(error)
"""


def test_pruned_files_count_as_done_only_where_they_are_not_needed(stages, tmp_path):
    work = Counter()
    first = run(stages, work)
    stages.prune("gold", "iterations/0001", "adapter/")
    assert not (tmp_path / "experiment/iterations/0001/adapter/weights.bin").exists()
    assert len(stages.read("iterations/0001", "gold", Gold)) == 3
    arguments = {"settings": 1, "version": "1", "inputs": {}, "work": work}
    assert stages.run("gold", "iterations/0001", **arguments, need_files=False).digest == first.digest
    assert work.calls == 1
    stages.run("gold", "iterations/0001", **arguments)
    assert work.calls == 2


def test_equal_content_has_equal_digests_wherever_it_lies(tmp_path):
    digests = {
        run(StageStore(Folder(url)), Counter()).digest
        for url in (str(tmp_path / "a"), f"file://{tmp_path}/b", "memory://c")
    }
    assert len(digests) == 1


def test_an_object_store_works_like_a_disk():
    stages, work = StageStore(Folder("memory://somewhere/experiment")), Counter()
    assert run(stages, work).digest == run(stages, work).digest
    assert work.calls == 1


def test_a_missing_column_is_named(tmp_path):
    table = Gold.to_table([gold(1)]).drop_columns(["weight"])
    file = tmp_path / "gold.parquet"
    pq.write_table(table, file)
    with pytest.raises(DataError, match="lacks the column 'weight' of a Gold row"):
        read_parquet(file.read_bytes(), Gold, str(file))


def test_rubbish_is_no_parquet():
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_parquet(b"rubbish", Gold, "gold.parquet")


def test_a_column_of_another_type_is_refused(tmp_path):
    table = Gold.to_table([gold(1)])
    table = table.set_column(table.column_names.index("weight"), "weight", pa.array(["heavy"]))
    pq.write_table(table, tmp_path / "gold.parquet")
    with pytest.raises(DataError, match="does not hold Gold rows"):
        read_parquet((tmp_path / "gold.parquet").read_bytes(), Gold, "gold.parquet")


@given(st.lists(st.builds(Gold, weight=st.floats(allow_nan=False), iteration=st.integers(0, 2**31 - 1)), max_size=5))
def test_rows_round_trip(rows):
    assert Gold.from_table(Gold.to_table(rows)) == rows


@pytest.mark.parametrize("record", Record.__subclasses__())
def test_every_record_has_a_column_for_each_field(record: type[Record]):
    assert record.SCHEMA.names == list(record.model_fields)
    assert record.from_table(record.to_table([])) == []


def test_a_manifest_says_what_was_written_from_what_and_by_what(tmp_path):
    stages = StageStore(Folder(str(tmp_path / "experiment")), lambda: {"code": "abc"})
    first = run(stages, Counter())
    handle = run(stages, Counter(rows=2), settings=2, problems=first)
    manifest = stages.manifest("gold", "iterations/0001")
    assert manifest == StageStore(stages.root).manifest("gold", "iterations/0001")
    assert (manifest.stage, manifest.folder, manifest.made) == ("gold", "iterations/0001", {"code": "abc"})
    assert manifest.inputs == {"problems": first.digest}
    assert {name: entry.rows for name, entry in manifest.files.items()} == {
        "gold.parquet": 2,
        "adapter/weights.bin": None,
    }
    assert all(
        entry.size == (tmp_path / "experiment/iterations/0001" / name).stat().st_size
        for name, entry in manifest.files.items()
    )
    assert handle.rows == {"gold": 2}, "tables alone"
    assert handle.info == manifest.info
    assert 0 <= handle.info["storage_seconds"] <= handle.info["seconds"] < 60
    assert (handle.stage, handle.folder, handle.digest) == ("gold", "iterations/0001", manifest.digest)


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=4))
def test_a_hash_follows_what_a_value_holds_not_its_order(value):
    turned = dict(reversed(list(value.items())))
    assert hash_json(value) == hash_json(turned)
    assert hash_json(value) != hash_json(value | {"more": 1.5})
    assert len(hash_json(value)) == 64
    assert hash_json([value, Path("a")]) == hash_json([value, "a"]) != hash_json([value, "b"])


def test_a_stage_is_found_only_for_its_own_settings_and_with_all_its_files(stages):
    key = {"settings": 1, "version": "1", "inputs": {}}
    assert stages.find("gold", "iterations/0001", **key) is None
    made = run(stages, Counter())
    found = stages.find("gold", "iterations/0001", **key)
    assert found == made.model_copy(update={"reused": True})
    for change in ({"settings": 2}, {"version": "2"}, {"inputs": {"x": made}}):
        assert stages.find("gold", "iterations/0001", **key | change) is None
    assert stages.find("gold", "iterations/0002", **key) is None
    stages.prune("gold", "iterations/0001", "adapter/")
    assert stages.find("gold", "iterations/0001", **key) is None


def test_pruning_again_or_what_is_not_there_changes_nothing(stages, tmp_path):
    stages.prune("gold", "iterations/0001", "adapter/")
    assert not (tmp_path / "experiment/iterations").exists()
    run(stages, Counter())
    manifest = tmp_path / "experiment/iterations/0001/gold.manifest.json"
    stages.prune("gold", "iterations/0001", "adapter/")
    before = manifest.stat().st_ino
    stages.prune("gold", "iterations/0001", "adapter/")
    assert manifest.stat().st_ino == before
    assert stages.manifest("gold", "iterations/0001").pruned == ("adapter/weights.bin",)
    assert stages.intact(stages.manifest("gold", "iterations/0001"), need_files=False)
    assert not stages.intact(stages.manifest("gold", "iterations/0001"))


def test_a_file_is_read_once_a_process_and_looked_for_each_time(stages, tmp_path):
    work = Counter()
    run(stages, work)
    run(stages, work)
    weights = tmp_path / "experiment/iterations/0001/adapter/weights.bin"
    weights.write_bytes(b"x" * 100)
    run(stages, work)
    assert work.calls == 1, "its digest was compared already"
    run(StageStore(stages.root), work)
    assert work.calls == 2, "another process compares anew"
    weights.unlink()
    run(stages, work)
    assert work.calls == 3


def test_json_is_a_file_of_the_stage(stages, tmp_path):
    made = stages.run(
        "facts", "here", settings=1, version="1", inputs={}, work=lambda out: out.json("facts", {"b": "é", "a": [1]})
    )
    text = (tmp_path / "experiment/here/facts.json").read_text(encoding="utf-8")
    assert text == '{\n "a": [\n  1\n ],\n "b": "\\u00e9"\n}'
    assert made.rows == {}
    assert stages.intact(stages.manifest("facts", "here"))


def test_nothing_is_seen_before_the_stage_ends_and_the_draft_lies_beside_it(stages, tmp_path):
    place = tmp_path / "experiment/iterations/0001"

    def work(out: Writer) -> None:
        Counter()(out)
        (draft,) = place.iterdir()
        assert draft.name.startswith(".tmp-")
        assert (draft / "gold.parquet").exists()

    run(stages, work)
    assert sorted(path.name for path in place.iterdir()) == ["adapter", "gold.manifest.json", "gold.parquet"]


def test_a_draft_that_cannot_be_written_is_the_store_s_error(stages):
    def work(out: Writer) -> None:
        (out.directory("adapter") / "missing/weights.bin").write_bytes(b"w")

    with pytest.raises(StorageError, match=r"experiment/iterations/0001 cannot be written \(No such file"):
        run(stages, work)


def test_a_column_that_came_later_gets_its_default(tmp_path):
    file = tmp_path / "problems.parquet"
    row = Problem(
        problem_id="p",
        family="f",
        variant="{}",
        difficulty=1,
        split="val",
        title="",
        description="",
        signature="",
        entry_point="f",
        shown=(),
        cases=(),
        reference_solution="",
        input_data="",
        expected_output="",
    )
    pq.write_table(Problem.to_table([row, row]).drop_columns(["kind", "comparison"]), file)
    assert Problem.from_table(read_parquet(file.read_bytes(), Problem, str(file))) == [row, row]
    wider = Problem.to_table([row]).append_column("unknown", pa.array([1]))
    pq.write_table(wider, file)
    assert Problem.from_table(read_parquet(file.read_bytes(), Problem, str(file))) == [row]


def test_a_table_of_the_whole_run_is_replaced_in_one_step(stages, tmp_path):
    for rows in ([gold(1)], [gold(2), gold(3)]):
        write_parquet(stages.root, "all", rows, Gold)
        assert stages.read("", "all", Gold) == rows
    assert [path.name for path in (tmp_path / "experiment").iterdir()] == ["all.parquet"]
