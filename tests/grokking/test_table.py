"""Curves from files: every usual header, separator and unit gives the same curve, and what cannot be read says why."""

import json
import sys

import numpy as np
import pytest

from axiom.cli.app import main
from axiom.errors import DataError
from axiom.grokking import is_table, read_curve
from tests.tables import every

STEPS = [0, 10, 20, 30, 50, 80]
TRAIN = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
VAL = [0.0, 0.125, 0.25, 0.25, 0.5, 1.0]


def cells(header, separator=",", scale=1.0):
    lines = [separator.join(header)]
    lines += [separator.join(map(str, (s, t * scale, v * scale))) for s, t, v in zip(STEPS, TRAIN, VAL, strict=True)]
    return "\n".join(lines) + "\n"


def records(names=("step", "train_acc", "val_acc")):
    return [dict(zip(names, row, strict=True)) for row in zip(STEPS, TRAIN, VAL, strict=True)]


def check(path):
    curve = read_curve(path)
    assert curve.iteration.tolist() == STEPS
    assert curve.train_accuracy == pytest.approx(TRAIN)
    assert curve.val_accuracy == pytest.approx(VAL)


@every(
    "clock",
    [
        "iteration",
        "iter",
        "step",
        "global_step",
        "Steps",
        "_step",
        "Epoch",
        "train_step",
        "num_steps",
        "gradient_steps",
        "optimization_steps",
        "ep",
    ],
)
@every("train", ["train_accuracy", "train_acc", "acc", "accuracy", "train/accuracy", "Train Acc (%)"])
@every("val", ["val_accuracy", "val_acc", "test_acc", "eval_accuracy", "valid.acc", "testAccuracy"])
def test_every_usual_header_is_read(tmp_path, clock, train, val):
    path = tmp_path / "curve.csv"
    path.write_text(cells((clock, train, val), scale=100.0 if "%" in train else 1.0))
    check(path)


@every("separator", [",", ";", "\t", "|", " "])
@every("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@every("scale", [1.0, 100.0])
def test_every_separator_encoding_and_unit(tmp_path, separator, encoding, scale):
    path = tmp_path / "curve.tsv"
    path.write_text(cells(("step", "train_acc", "val_acc"), separator, scale), encoding=encoding)
    check(path)


def test_a_comma_may_be_the_decimal_mark_where_semicolons_part_the_cells(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text(cells(("step", "train_acc", "val_acc"), ";").replace(".", ","))
    check(path)


COLUMNS = {"epoch": STEPS, "acc": TRAIN, "val_acc": VAL}
JSON = {
    "list of records": records(),
    "dict of columns": COLUMNS,
    "columns beside settings": COLUMNS | {"lr": 0.1, "name": "x", "losses": [1.0]},
    "records inside": {"config": {"lr": 1}, "log_history": records()},
    "columns inside": {"config": {"lr": 1}, "history": COLUMNS},
    "records of records": [
        {"step": row["step"], "train": {"acc": row["train_acc"]}, "test": {"acc": row["val_acc"]}} for row in records()
    ],
}


@pytest.mark.parametrize("shape", JSON)
def test_json_of_metrics(tmp_path, shape):
    path = tmp_path / "curve.json"
    path.write_text(json.dumps(JSON[shape]))
    check(path)


def test_jsonl_and_rows_that_a_logger_wrote_apart(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(map(json.dumps, records())))
    check(path)
    apart = [{"step": row["step"], name: row[name]} for row in records() for name in ("train_acc", "val_acc")]
    between = [{"step": 15, "train_acc": 0.6}, {"step": 17, "loss": 0.2}]
    path.write_text("\n".join(map(json.dumps, [*apart[:4], *between, *apart[4:]])))
    check(path)
    lines = ["epoch,train_acc,val_acc"]
    lines += [line for s, t, v in zip(STEPS, TRAIN, VAL, strict=True) for line in (f"{s},,{v}", f"{s},{t},")]
    path.write_text("\n".join(lines))
    check(path)


def test_numpy_archives(tmp_path):
    path = tmp_path / "curve.npz"
    np.savez(path, step=STEPS, train_acc=TRAIN, test_acc=VAL)
    check(path)
    table = np.array(
        list(zip(STEPS, TRAIN, VAL, strict=True)), [("step", "f8"), ("train_acc", "f8"), ("acc_val", "f8")]
    )
    np.save(tmp_path / "curve.npy", table)
    check(tmp_path / "curve.npy")
    np.save(tmp_path / "plain.npy", np.zeros((5, 3)))
    with pytest.raises(DataError, match="named fields"):
        read_curve(tmp_path / "plain.npy")
    np.savez(path, step=np.array(STEPS, dtype=object), train_acc=TRAIN, test_acc=VAL)
    with pytest.raises(DataError, match="it holds Python objects, which could run code"):
        read_curve(path)


def test_columns_of_several_lengths_are_named(tmp_path):
    path = tmp_path / "curve.json"
    path.write_text('{"step": [1, 2, 3], "train_acc": [0.1, 0.2], "val_acc": [0.1, 0.2, 0.3]}')
    with pytest.raises(DataError, match="differ in length: step 3, train_acc 2, val_acc 3"):
        read_curve(path)
    path.write_text('{"step": [1, 2], "train_acc": [0.1, 0.2], "val_acc": [0.1, 0.2], "best": [0.2]}')
    assert len(read_curve(path)) == 2


def test_a_percentage_beside_what_may_be_a_fraction_is_refused_unless_its_name_says_what_it_is(tmp_path):
    path = tmp_path / "curve.csv"
    rows = "0,1.0,0.9\n1,50.0,0.8\n2,100.0,0.9\n3,100.0,0.9\n"
    path.write_text("step,train_acc,val_acc\n" + rows)
    with pytest.raises(DataError, match=r"'train_acc' is in percent and 'val_acc' reaches 0\.9 at most"):
        read_curve(path)
    path.write_text("step,val_acc,train_acc\n" + rows)
    with pytest.raises(DataError, match=r"'val_acc' is in percent and 'train_acc' reaches 0\.9 at most"):
        read_curve(path)
    path.write_text("step,train_acc,val_acc (%)\n" + rows)
    assert read_curve(path).val_accuracy == pytest.approx([0.009, 0.008, 0.009, 0.009])


def test_a_percent_sign_in_a_cell_holds_for_that_cell(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("step,train_acc,val_acc\n0,0.5,0.4%\n1,1.0,1.4 %\n2,1.0,100%\n")
    curve = read_curve(path)
    assert curve.train_accuracy == pytest.approx([0.5, 1.0, 1.0])
    assert curve.val_accuracy == pytest.approx([0.004, 0.014, 1.0])


def test_one_value_above_1_does_not_make_a_curve_percent(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("step,train_acc,val_acc\n0,0.5,0.1\n1,1.6,0.1\n2,1.0,0.9\n3,1.0,0.9\n")
    with pytest.raises(DataError, match=r"train_accuracy = 1.6 in row 2 lies outside 0..1"):
        read_curve(path)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train_acc_epoch", "val_acc_epoch"),
        ("eval_train_accuracy", "eval_val_accuracy"),
        ("eval_train_accuracy", "eval_test_accuracy"),
        ("lively-sun-3 - train/acc", "lively-sun-3 - val/acc"),
        ("train - acc", "val - acc"),
        ("train_accs", "test_accuracies"),
    ],
)
def test_the_headers_of_trainers_and_of_exported_charts(tmp_path, train, val):
    path = tmp_path / "curve.csv"
    path.write_text(cells(("step", train, val)))
    check(path)


def test_a_decimal_comma_between_tabs_or_quotes_and_single_numbers_in_an_archive(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text(cells(("step", "train_acc", "val_acc"), "\t").replace(".", ","))
    check(path)
    rows = "\n".join(f'{s},"{t}","{v}"'.replace(".", ",") for s, t, v in zip(STEPS, TRAIN, VAL, strict=True))
    path.write_text(f"step,train_acc,val_acc\n{rows}\n")
    check(path)
    path.write_text('step,train_acc,val_acc\n"1,000",0.5,0.1\n')
    with pytest.raises(DataError, match="'1,000', which is no number"):
        read_curve(path)
    np.savez(tmp_path / "curve.npz", step=STEPS, train_acc=TRAIN, test_acc=VAL, lr=0.1)
    check(tmp_path / "curve.npz")


def test_no_rows_are_no_evaluations_and_accuracies_that_never_meet_are_named(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("step,train_acc,val_acc\n")
    assert len(read_curve(path)) == 0
    path = tmp_path / "curve.jsonl"
    path.write_text("\n".join(json.dumps({"step": s, ("val_acc", "train_acc")[s % 2]: 0.5}) for s in range(9)))
    with pytest.raises(DataError, match="has no row with both 'train_acc' and 'val_acc'"):
        read_curve(path)


def test_counts_are_read_under_the_split_that_is_used(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("step,train_acc,test_acc,n_train,test_n\n0,0.5,0.1,40,30\n1,0.6,0.1,40,20\n")
    curve = read_curve(path)
    assert curve.train_n.tolist() == [40, 40]
    assert curve.val_n.tolist() == [30, 20]


def test_validation_is_preferred_to_test_and_the_canonical_name_to_another(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text(
        "step,epoch,train_accuracy,train_acc,val_acc,test_acc,loss\n0,9,0.5,0.1,0.2,0.3,7\n2,9,0.5,0.1,0.2,0.3,7\n"
    )
    curve = read_curve(path)
    assert curve.iteration.tolist() == [0, 2]
    assert curve.train_accuracy.tolist() == [0.5, 0.5]
    assert curve.val_accuracy.tolist() == [0.2, 0.2]


@every(
    "text, says",
    [
        ("iteration,train_accuracy\n1,0.5\n", "no column 'val_accuracy'.*has iteration, train_accuracy"),
        ("a,b\n1,0.5\n", "no column 'iteration'.*has a, b"),
        ("step,train_acc,training_accuracy,val_acc\n1,0.5,0.5,0.5\n", "'train_acc', 'training_accuracy'"),
        ("step,train_acc,eval_acc,val_acc\n1,0.5,0.5,0.5\n", "'eval_acc', 'val_acc'"),
        ("iteration,train_accuracy,val_accuracy\n1,0.5,high\n", "no number"),
        ("iteration,train_accuracy,val_accuracy\n1,0.5,0.5\n2,0.5,\n3,0.5,0.5\n", "missing in row 2"),
        ("", "no column 'iteration'"),
        ("iteration,train_accuracy,val_accuracy,val_n\n1,0.5,0.5,0\n", "at least 1"),
        ("iteration,train_accuracy,val_accuracy\n1,0.5,0.5\n2,0.5,0.5\n3,0.5,0.5\n1,0.5,0.5\n2,0.5,0.5\n", "one run"),
        ("step,train_acc,val_acc\n1,0.5,0.5\n1,0.4,0.5\n2,0.5,0.5\n2,0.4,0.5\n", "one run"),
        ("seed,step,train_acc,val_acc\n0,1,0.5,0.5\n1,2,0.5,0.5\n", "2 runs .seed 0, 1"),
        ("step,train_acc,val_acc\n1,0.5,0.5\n3,0.5,0.5\n2,0.5,0.5\n", "ascending"),
        ("step,train_acc,val_acc\n1,0.5,1.2\n", "outside 0..1"),
        ("step,train_acc,val_acc\n1,0.5,120\n", "outside 0..1"),
        ('{"step": [1, 2], "train_acc"', "cannot be read"),
        ("[1, 2]", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, text, says):
    path = tmp_path / "curve.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says) as error:
        read_curve(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_a_file_that_is_not_there(tmp_path):
    for name in ("absent.csv", "absent.jsonl", "absent.json", "absent.tsv", "absent.NPZ"):
        assert is_table(str(tmp_path / name))
        with pytest.raises(DataError, match=f"there is no file .*{name}"):
            read_curve(tmp_path / name)
    assert not is_table("some-experiment")
    (tmp_path / "log").write_text(cells(("step", "train_acc", "val_acc")))
    assert is_table(str(tmp_path / "log"))


def test_detect_reads_them_from_the_command_line(tmp_path, monkeypatch, capsys):
    steps = np.arange(0, 3000, 100)
    rows = [{"step": int(s), "train_acc": 99.0 if s else 3.0, "test_acc": 2.0 if s < 1500 else 97.0} for s in steps]
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    chart = tmp_path / "chart.json"
    monkeypatch.setattr(sys, "argv", ["axiom", "detect", str(path), "--json", "--out", str(chart)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "grokking"
    assert 1400 <= found["t_generalise_low"] <= found["t_generalise"] <= found["t_generalise_high"] <= 1500
    assert [event["kind"] for event in found["online"]] == ["alarm"]
    assert chart.exists()


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train_set_accuracy", "test_set_accuracy"),
        ("sparse_categorical_accuracy", "val_sparse_categorical_accuracy"),
        ("train_binary_accuracy", "val_binary_accuracy"),
        ("train/MulticlassAccuracy", "val/MulticlassAccuracy"),
        ("train_acc", "held_out_acc"),
        ("train_acc", "held-out accuracy"),
    ],
)
def test_the_metrics_of_usual_libraries_are_read(tmp_path, train, val):
    rows = [{"step": 10 * i, train: i / 40, val: i / 80} for i in range(40)]
    (tmp_path / "c.json").write_text(json.dumps(rows))
    found = read_curve(tmp_path / "c.json")
    assert (found.train_accuracy[8], found.val_accuracy[8]) == (0.2, 0.1)


def test_a_logger_s_own_step_gives_way_to_the_trainer_s(tmp_path):
    lines = ["_step,trainer/global_step,train_acc,val_acc", *(f"{i},{100 * i},{i / 20},{i / 40}" for i in range(20))]
    (tmp_path / "c.csv").write_text("\n".join(lines))
    assert read_curve(tmp_path / "c.csv").iteration[3] == 300


def test_remarks_above_the_header(tmp_path):
    lines = ["# made by a script", "# on a Monday", "step,train_acc,val_acc"]
    lines += [f"{1000 * i},{i / 20},{i / 40}" for i in range(20)]
    (tmp_path / "c.csv").write_text("\n".join(lines))
    assert read_curve(tmp_path / "c.csv").iteration[-1] == 19_000
    (tmp_path / "d.csv").write_text("# step,train_acc,val_acc\n" + "\n".join(f"{i},0.5,0.25" for i in range(20)))
    assert len(read_curve(tmp_path / "d.csv")) == 20


def test_columns_of_splits_beside_the_clock(tmp_path):
    whole = {"step": list(range(20)), "train": {"acc": [0.5] * 20}, "val": {"acc": [0.25] * 20}}
    (tmp_path / "c.json").write_text(json.dumps(whole))
    assert read_curve(tmp_path / "c.json").val_accuracy[0] == 0.25


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_validation_that_is_measured_more_seldom_is_read_from_every_kind_of_file(tmp_path, suffix):
    rows = [{"step": 10 * i, "train_acc": i / 600, "val_acc": i / 1200 if i % 10 == 0 else None} for i in range(600)]
    if suffix == "csv":
        cells = [",".join("" if cell is None else str(cell) for cell in row.values()) for row in rows]
        text = "\n".join([",".join(rows[0]), *cells])
    else:
        text = json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows))
    (tmp_path / f"c.{suffix}").write_text(text)
    found = read_curve(tmp_path / f"c.{suffix}")
    assert len(found) == 60
    assert found.val_accuracy[5] == 50 / 1200
