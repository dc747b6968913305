"""Many problems at once: built on every core, written as they come, the same whatever the number of cores."""

import gc
import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa

from axiom.folders import whole
from axiom.problems.cases.building import Plan, build
from axiom.problems.registry import bounds_within, family_named
from axiom.problems.space import Names
from axiom.problems.splits.variants import candidates, exhausted, first_new, refuse_too_many
from axiom.records import Problem

CHUNK = 256
"""Variants in one piece of work. Part of the row-group layout, not of which problems come out."""

IN_FLIGHT = 6
"""Pieces of work that wait for a process or run in one."""

Job = tuple[str, list[Names], int]
"""Family, variants, seed."""


def generate(family: str, difficulty: tuple[int, int] | None, count: int, seed: int) -> Iterator[Problem]:
    """`count` distinct problems of one family, one at a time, its difficulties in turn; None is its whole range.

    Raises ConfigError for an unknown family, a difficulty it lacks or more problems than it has variants.
    """
    member = family_named(family)
    bounds = bounds_within(member, difficulty)
    refuse_too_many(member, bounds, count)
    plan = Plan("train", seed)
    made = (build(member, names, plan) for names in candidates(member, bounds, seed))
    return _exactly(first_new(made, count), family, bounds, count)


def _exactly(problems: Iterator[Problem], family: str, difficulty: tuple[int, int], count: int) -> Iterator[Problem]:
    written = 0
    for written, problem in enumerate(problems, 1):  # noqa: B007 (needed after the loop)
        yield problem
    if written < count:
        raise exhausted(family, difficulty, written, Plan("train", 0).hidden)


def write(
    path: Path, families: Sequence[str], difficulty: tuple[int, int] | None, count: int, seed: int, workers: int = 0
) -> int:
    """Write `count` problems, evenly over `families`, to a .parquet or .jsonl file; returns how many.

    They are those of `generate`. Memory does not grow with the count beyond one fingerprint a problem; `workers` 0 is
    one process for each core. Raises ConfigError as `generate` does, before the file is touched.
    """
    shares = [(name, count // len(families) + (place < count % len(families))) for place, name in enumerate(families)]
    bounds = {name: bounds_within(family_named(name), difficulty) for name in families}
    for name, share in shares:
        refuse_too_many(family_named(name), bounds[name], share)
    with ProcessPoolExecutor(workers or len(os.sched_getaffinity(0)), initializer=_settle) as pool:
        streams = [_FamilyStream(pool, name, bounds[name], share, seed) for name, share in shares]
        tables = (
            table
            for stream, following in zip(streams, [*streams[1:], None], strict=True)
            for table in stream.tables(following)
        )
        with whole(path) as file:
            return _write_jsonl(file, tables) if path.suffix == ".jsonl" else _write_parquet(file, tables)


class _FamilyStream:
    """`count` problems of one family on their way: pieces of work in flight, and how many problems have come."""

    def __init__(
        self, pool: ProcessPoolExecutor, family: str, difficulty: tuple[int, int], count: int, seed: int
    ) -> None:
        self.pool, self.family, self.difficulty, self.count, self.seed = pool, family, difficulty, count, seed
        self.size = min(CHUNK, count + 16)  # a few more than asked for: some variants are monotonous
        names = candidates(family_named(family), difficulty, seed)
        self.chunks = iter(lambda: list(itertools.islice(names, self.size)), [])
        self.waiting: list[Future[tuple[bytes, list[str]]]] = []
        self.seen: set[str] = set()
        self.written = 0

    def feed(self, room: int) -> None:
        """Have as many pieces in flight as are needed and there is room for."""
        wanted = min(room, 1 + (self.count - self.written) // self.size) - len(self.waiting)
        chunks = itertools.islice(self.chunks, max(0, wanted))
        self.waiting += [self.pool.submit(_work, (self.family, chunk, self.seed)) for chunk in chunks]

    def tables(self, following: "_FamilyStream | None") -> Iterator[pa.Table]:
        """Tables of at most CHUNK new problems, in the order of `generate`.

        Room that is left when this family nears its end goes to the `following` one, so that no process waits.
        """
        while self.written < self.count:
            self.feed(IN_FLIGHT)
            if following is not None:
                following.feed(IN_FLIGHT - len(self.waiting))
            if not self.waiting:
                raise exhausted(self.family, self.difficulty, self.written, Plan("train", 0).hidden)
            data, marks = self.waiting.pop(0).result()
            yield pa.ipc.open_stream(data).read_all().filter(pa.array([self._new(mark) for mark in marks], pa.bool_()))
        for future in self.waiting:
            future.cancel()

    def _new(self, mark: str) -> bool:
        new = mark not in self.seen and self.written < self.count
        self.written += new
        self.seen.add(mark)
        return new


def _settle() -> None:
    """Let the garbage collector of a process pass over the families, which stay, and hardly ever come to what lasts."""
    gc.freeze()
    gc.set_threshold(2_000, 50, 10_000)


_met: dict[tuple[str, int], set[str]] = {}
"""Fingerprints this process has built, by family and seed: the chunks of a process come in order, so one that comes
again is a variant to leave out."""


def _work(job: Job) -> tuple[bytes, list[str]]:
    """The problems of some variants as an Arrow stream, with their fingerprints.

    Monotonous ones are left out, and those that this process has met; others that were met are the parent's to drop.
    """
    family, chunk, seed = job
    member, plan, met = family_named(family), Plan("train", seed), _met.setdefault((family, seed), set())
    made: list[tuple[Problem, str]] = []
    for names in chunk:
        built = build(member, names, plan, known=met)
        if built is not None:
            made.append(built)
            met.add(built[1])
    table = Problem.to_table(problem for problem, _ in made)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes(), [mark for _, mark in made]


def _write_parquet(path: Path, tables: Iterator[pa.Table]) -> int:
    import pyarrow.parquet as pq  # a third of a second that no other use of this package needs

    rows = 0
    with pq.ParquetWriter(path, Problem.SCHEMA, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
            rows += table.num_rows
    return rows


def _write_jsonl(path: Path, tables: Iterator[pa.Table]) -> int:
    rows = 0
    with path.open("w", encoding="utf-8") as lines:
        for table in tables:
            rows += table.num_rows
            lines.writelines(f"{problem.model_dump_json()}\n" for problem in Problem.from_table(table))
    return rows
