"""A curve from a file as others write them: CSV, TSV, JSON, JSONL, npz; any usual name for its columns.

`read_curve` finds the clock (iteration, step, epoch), train accuracy and validation accuracy (else test accuracy) by
the words in their names, and takes percentages for what they are.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axiom.errors import DataError
from axiom.grokking.curve import Curve, Floats

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".npz", ".npy")
"""Of files that are read as curves."""
DELIMITERS = (",", ";", "\t", "|", " ")
PERCENT = 1.5
"""Accuracies above this are percentages, if there are at least `SURELY_PERCENT` of them; one may be a mistake."""
SURELY_PERCENT = 3
FEWEST_COLUMNS = 3
"""A clock and two accuracies."""

Row = Mapping[str, Any]

_CLOCKS = ("iteration", "step", "epoch")
_SYNONYMS = {
    "iteration": "iter iterations it",
    "step": "steps",
    "epoch": "epochs ep",
    "accuracy": "acc acc1 accs accuracies",
    "train": "training tr trn",
    "val": "validation valid dev eval evaluation heldout",
    "test": "testing",
    "n": "num count size",
}
_WORDS = {word: usual for usual, words in _SYNONYMS.items() for word in words.split()}
_IGNORED = {
    *("percent", "pct", "global", "mean", "avg", "average", "metrics", "trainer", "top1", "set"),
    *("optimizer", "optimization", "gradient", "categorical", "sparse", "binary", "multiclass"),
}
_SPLITS = {"train", "val", "test"}
_DECIMAL_COMMA = re.compile(r"0,\d+|\d+,(\d{1,2}|\d{4,})")  # 1,000 may be a thousand
_RUNS = {"run", "runs", "seed", "experiment", "trial"}


@dataclass(frozen=True)
class Columns:
    """The names, as the file has them, of what was read; None for a count that it does not have."""

    iteration: str
    train_accuracy: str
    val_accuracy: str
    train_n: str | None
    val_n: str | None


def is_table(source: str) -> bool:
    """Whether `source` names a file with a curve: it exists, or ends as such files do."""
    return Path(source).is_file() or Path(source).suffix.lower() in SUFFIXES


def read_curve(path: str | Path) -> Curve:
    """The curve of a CSV, TSV, JSON, JSONL, npz or npy file; percentages become fractions.

    Raises DataError with one sentence for a file that cannot be read and for values that make no curve.
    """
    path = Path(path)
    rows = _rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    chosen = find_columns(names, str(path))
    _refuse_several_runs(rows, names, path)
    joined = _joined(rows, chosen)
    accuracies = (chosen.train_accuracy, chosen.val_accuracy)
    both = [row for row in joined if all(name in row for name in accuracies)]
    logged_apart = len(joined) < len(rows) or not all(name in row for row in rows for name in accuracies)
    if logged_apart or 2 * len(both) <= len(joined):  # else a blank is a gap
        if joined and not both:
            raise DataError(
                f"curve {str(path)!r} has no row with both {accuracies[0]!r} and {accuracies[1]!r}; measure both at "
                f"the same {chosen.iteration}"
            )
        joined = both
    values = {
        name: np.array([_number(row.get(column), column, at) for at, row in enumerate(joined, 1)])
        for name, column in vars(chosen).items()
        if column is not None
    }
    _refuse_restart(values["iteration"], chosen.iteration, path)
    train, val = values["train_accuracy"], values["val_accuracy"]
    scale = _scale((train, val), accuracies)
    return Curve.of(**(values | {"train_accuracy": train / scale, "val_accuracy": val / scale}))


def find_columns(names: Sequence[str], source: str) -> Columns:
    """Which columns hold the curve. Raises DataError, with the columns there are, where none or several could."""
    words = {name: _words(name) for name in names}

    def pick(canonical: str, *wanted: set[str], needed: bool = True) -> str | None:
        for tried in wanted:
            found = [name for name in names if words[name] - _IGNORED == tried]
            found = [name for name in found if name == canonical] or found
            found = [name for name in found if not name.startswith("_")] or found  # `_step` counts a logger's calls
            if len(found) > 1:
                quoted = ", ".join(repr(name) for name in found)
                raise DataError(f"curve {source!r} has {quoted} for {canonical}; keep one of them")
            if found:
                return found[0]
        if needed:
            raise DataError(
                f"curve {source!r} has no column {canonical!r} nor another usual name for it; it needs iteration, step "
                f"or epoch, train_accuracy and val_accuracy or test_accuracy, and has {', '.join(names) or 'none'}"
            )
        return None

    clock = pick("iteration", *({word} for word in _CLOCKS), *({word, of} for of in ("train", "n") for word in _CLOCKS))
    train = pick("train_accuracy", {"train", "accuracy"}, {"train", "accuracy", "epoch"}, {"accuracy"})
    val = pick("val_accuracy", *({split, "accuracy", *of} for split in ("val", "test") for of in ((), ("epoch",))))
    assert clock is not None
    assert train is not None
    assert val is not None
    held_out = words[val] & {"val", "test"}
    counts = [pick(f"{split}_n", {split, "n"}, needed=False) for split in ("train", held_out.pop())]
    return Columns(clock, train, val, *counts)


def _words(name: str) -> set[str]:
    """The words of a column's name in one spelling each: `Train/Acc (%)` is {train, accuracy}."""
    of_run, _, tail = name.rpartition(" - ")
    if of_run and _words(tail) & _SPLITS:  # "lively-sun-3 - train/acc", as charts are exported
        return _words(tail)
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    found = re.findall(r"[a-z0-9]+", re.sub(r"held[^a-z0-9]?out", "heldout", parted.lower()))
    others = {_WORDS.get(word, word) for word in found if not word.startswith("eval")}
    if others & _SPLITS:  # evaluated on this split: eval_train_accuracy
        return others
    return {_WORDS.get(word, word) for word in found}


def _rows(path: Path) -> Sequence[Row]:
    """The rows of the file, each a mapping of column names to cells."""
    try:
        if path.suffix.lower() in (".npz", ".npy"):
            return _from_numpy(path)
        data = path.read_bytes()
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        return _from_json(text) if text.lstrip()[:1] in ("{", "[") else _from_text(text)
    except FileNotFoundError:
        raise DataError(f"there is no file {str(path)!r}") from None
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"curve {str(path)!r} cannot be read as CSV, TSV, JSON, JSONL or npz: {error}") from None


def _from_numpy(path: Path) -> list[Row]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        if loaded.dtype.names is None:
            raise ValueError("an array without named fields does not say which column is which")
        return _transposed({name: loaded[name].tolist() for name in loaded.dtype.names})
    with loaded:
        try:
            columns = {name: loaded[name].ravel().tolist() for name in loaded.files if loaded[name].ndim}
        except ValueError:
            raise ValueError("it holds Python objects, which could run code as they are read; save numbers") from None
        return _transposed(columns)


def _from_json(text: str) -> list[Row]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    whole = _flat(found) if isinstance(found, dict) and any(isinstance(v, list) for v in found.values()) else found
    rows = _records(whole)  # columns beside columns of a split: {"step": [..], "train": {"acc": [..]}}
    if rows is None and isinstance(found, dict):
        nested = [rows for value in found.values() if (rows := _records(value))]
        rows = max(nested, key=len, default=None)
    if rows is None:
        raise ValueError("it holds neither a list of records nor columns of one length")
    return [_flat(row) for row in rows]


def _records(found: Any) -> list[Row] | None:
    """Rows of a list of records or of a dict of columns, None of anything else."""
    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        return found
    if isinstance(found, dict):
        columns = {name: column for name, column in found.items() if isinstance(column, list)}
        length, _ = Counter(map(len, columns.values())).most_common(1)[0] if columns else (0, 0)
        usual = {name: column for name, column in columns.items() if len(column) == length}
        if len(usual) < FEWEST_COLUMNS <= len(columns):
            return _transposed(columns)  # which says that they differ
        columns = usual
        if length and not any(isinstance(column[0], dict) for column in columns.values()):
            return _transposed(columns)
    return None


def _flat(row: Row, prefix: str = "") -> dict[str, Any]:
    """A record with the keys of inner records joined: {"train": {"acc": 1}} is {"train/acc": 1}."""
    flat = {}
    for name, value in row.items():
        flat.update(_flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat


def _transposed(columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its columns differ in length: {', '.join(f'{n} {k}' for n, k in lengths.items())}")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _from_text(text: str) -> Sequence[Row]:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    while len(lines) > 1 and lines[0].startswith("#") and not re.match(r"[\s\"']*[-+.\d]", lines[1]):
        del lines[0]  # a remark above the header
    header = lines[0].lstrip("# ")
    delimiter = max(DELIMITERS, key=lambda mark: (len(header.split(mark)) > 1 and mark != " ", header.count(mark)))
    spaced = delimiter == " "
    body = [" ".join(line.split()) for line in lines[1:]] if spaced else lines[1:]
    reader = csv.DictReader([header, *body], delimiter=delimiter, skipinitialspace=True)
    rows = [{str(name).strip(): cell for name, cell in row.items() if name is not None} for row in reader]
    if delimiter == ";":  # where the semicolon parts cells, the comma may be the decimal mark
        rows = [{name: (cell or "").replace(",", ".") for name, cell in row.items()} for row in rows]
    return rows or [dict.fromkeys(header.split(delimiter), "")]


def _refuse_several_runs(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    for name in names:
        if _words(name) & _RUNS and _words(name) <= _RUNS | {"id", "name"}:
            runs = list(dict.fromkeys(str(row.get(name)) for row in rows))
            if len(runs) > 1:
                raise DataError(
                    f"curve {str(path)!r} holds {len(runs)} runs ({name} {runs[0]}, {runs[1]} ...); write each into a "
                    f"file of its own"
                )


def _refuse_restart(iteration: Floats, name: str, path: Path) -> None:
    """A clock that starts again, or shows most times twice, belongs to more than one run."""
    back = np.flatnonzero(np.diff(iteration) < 0)
    doubled = len(iteration) - len(np.unique(iteration))
    if (len(back) and iteration[back[0] + 1] <= iteration[0]) or doubled > len(iteration) / 3:
        where = f"{name} {iteration[back[0] + 1]:g} follows {iteration[back[0]]:g}" if len(back) else f"{name} repeats"
        raise DataError(
            f"curve {str(path)!r} seems to hold more than one run: {where}; write each run into a file of its own"
        )


def _joined(rows: Sequence[Row], chosen: Columns) -> Sequence[Row]:
    """The filled cells of each row; rows of one time, of which each has what the other lacks, are one.

    That is how loggers write which measure training and validation apart.
    """
    both = {chosen.train_accuracy, chosen.val_accuracy}
    joined: list[dict[str, Any]] = []
    known: dict[Any, dict[str, Any]] = {}
    for row in rows:
        full = {name: value for name, value in row.items() if value is not None and str(value).strip()}
        time = full.get(chosen.iteration)
        if not full:
            continue
        if time in known and not both & known[time].keys() & full.keys():
            known[time].update(full)
        else:
            joined.append(full)
            known[time] = full
    return joined


def _number(cell: Any, name: str, row: int) -> float:
    text = "nan" if cell is None else str(cell).strip()
    digits = text.removesuffix("%").strip()
    if _DECIMAL_COMMA.fullmatch(digits):
        digits = digits.replace(",", ".")
    try:
        return float(digits) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        raise DataError(
            f"{name} in row {row} is {text!r}, which is no number; write it as a fraction like 0.25"
        ) from None


def _scale(accuracies: tuple[Floats, Floats], names: tuple[str, str]) -> float:
    """What to divide accuracies by: 100 where the names say percent or some evaluations can be nothing else.

    Raises DataError where one is percent and the other looks like a fraction, because nothing decides which it is.
    """
    said = [bool("%" in name or _words(name) & {"percent", "pct"}) for name in names]
    largest = [float(np.nanmax(values, initial=0.0)) for values in accuracies]
    surely = np.sum(np.concatenate(accuracies) > PERCENT) >= SURELY_PERCENT
    if max(largest) > 100.0 or not (surely or (any(said) and max(largest) > 1.0)):
        return 1.0
    for name, percent, most in zip(names, said, largest, strict=True):
        if most <= 1.0 and not percent:
            other = names[1 - names.index(name)]
            raise DataError(
                f"{other!r} is in percent and {name!r} reaches {most:g} at most, which may be percent or a fraction; "
                f"write both alike, or name {name!r} with % if it is percent"
            )
    return 100.0
