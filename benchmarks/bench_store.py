"""Events per second that the store acknowledges as durable, beside what the disk and the bare databases can do.

    python benchmarks/bench_store.py --out benchmarks/store.md

Every figure is measured in rounds; in each round all cells of one database run one after the other on the same disk,
beginning with plain appends of 4 KiB, each followed by fsync. Bare: the driver alone (sqlite3, psycopg) writes the
same rows into the same tables and indexes, one transaction a batch, without checks, ids or revisions from the store. A
server of PostgreSQL is started from the binaries of the system.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from salon.store import EventWriter, Store, open_store
from salon.store.events import event_row
from salon.store.schema import events as table
from salon.store.values import StoredEvent

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from postgres_server import PostgresServer, binaries

BATCHES = (1, 100, 1000)
SUBMITTERS = (1, 8, 64)
COLUMNS = [column.name for column in table.c]
INSERT = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
COPY = f"COPY events ({', '.join(COLUMNS)}) FROM STDIN"


class Measured(NamedTuple):
    """What one cell did."""

    events: int
    commits: int
    seconds: float
    waits: list[float]

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def happened(name: str, count: int) -> list[StoredEvent]:
    return [
        StoredEvent(f"user {n % 5003}", f"item {n % 997}", "view", f"{name}-{n}", time=1e9 + n, session="phone")
        for n in range(count)
    ]


def repeated(seconds: float, batch: int, one: Callable[[int], None]) -> Measured:
    """Calls `one` with 0, 1, 2, ... for some time."""
    waits: list[float] = []
    start = time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        one(len(waits))
        waits.append(time.perf_counter() - now)
    return Measured(batch * len(waits), len(waits), time.perf_counter() - start, waits)


def fsyncs(folder: Path, seconds: float) -> Measured:
    path = folder / "fsync.bin"
    with path.open("wb", buffering=0) as file:

        def one(_: int) -> None:
            file.write(bytes(4096))
            os.fsync(file.fileno())

        return repeated(seconds, 1, one)


def bare_rows(tag: str, batch: int, place: int, first: int) -> list[tuple[Any, ...]]:
    rows = [event_row(event) for event in happened(f"{tag} {batch} {place}", batch)]
    return [tuple((row | {"revision": first + n})[name] for name in COLUMNS) for n, row in enumerate(rows)]


def bare(url: str, tag: str, batch: int, seconds: float) -> Measured:
    """The driver alone; the rows are made before the clock starts."""
    first = int(time.time() * 1e6) << 8  # far above the revisions of the store, and growing
    made = [bare_rows(tag, batch, place, first + place * batch) for place in range(int(seconds * 20_000 / batch) + 10)]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")

            def one(place: int) -> None:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(INSERT, made[place])
                connection.execute("COMMIT")

            return repeated(seconds, batch, one)
    with psycopg.connect(url) as server:

        def copy(place: int) -> None:
            with server.cursor() as cursor, cursor.copy(COPY) as stream:
                for row in made[place]:
                    stream.write_row(row)
            server.commit()

        return repeated(seconds, batch, copy)


def direct(store: Store, tag: str, batch: int, seconds: float) -> Measured:
    return repeated(
        seconds, batch, lambda place: store.events.append(happened(f"{tag} {batch} {place}", batch)) and None
    )


def submitted(store: Store, tag: str, submitters: int, seconds: float) -> Measured:
    """Each submitter sends one event, waits until it is durable, and sends the next."""
    waits: list[float] = []
    commits = 0
    append = store.events.append_rows

    def counted(rows: list[dict[str, Any]]) -> list[bool]:
        nonlocal commits
        commits += 1
        return append(rows)

    def work(name: str) -> None:
        mine = repeated(seconds, 1, lambda place: writer.submit(happened(f"{name} {place}", 1)).result() and None)
        waits.extend(mine.waits)

    store.events.append_rows = counted  # type: ignore[method-assign]
    start = time.perf_counter()
    with EventWriter(store) as writer:
        threads = [threading.Thread(target=work, args=(f"{tag} {submitters} {n}",)) for n in range(submitters)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    took = time.perf_counter() - start
    del store.events.append_rows
    return Measured(len(waits), commits, took, waits)


def one_round(url: str, folder: Path, number: int, seconds: float) -> Iterator[tuple[str, Measured]]:
    yield "fsync", fsyncs(folder, seconds)
    with open_store(url) as store:
        for batch in BATCHES:
            yield f"bare {batch}", bare(url, f"bare {number}", batch, seconds)
            yield f"append {batch}", direct(store, f"append {number}", batch, seconds)
        for submitters in SUBMITTERS:
            yield f"writer {submitters}", submitted(store, f"writer {number}", submitters, seconds)


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1000


def report(name: str, rounds: list[dict[str, Measured]]) -> list[str]:
    def rate(cell: str) -> float:
        return statistics.median(one[cell].rate for one in rounds)

    lines = [
        f"## {name}",
        "",
        f"Appends of 4 KiB with fsync: {rate('fsync'):,.0f} a second.",
        "",
        "| one thread, events in a batch | bare driver, events/s | store, events/s | store as a share of bare |",
        "|---|--:|--:|--:|",
    ]
    for batch in BATCHES:
        plain, ours = f"bare {batch}", f"append {batch}"
        share = statistics.median(one[ours].rate / one[plain].rate for one in rounds)
        lines.append(f"| {batch} | {rate(plain):,.0f} | {rate(ours):,.0f} | {share:.2f} |")
    lines += [
        "",
        "| submitters of single events | events/s | commits/s | events a commit | wait, median ms | wait, 99 % ms |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for count in SUBMITTERS:
        cells = [one[f"writer {count}"] for one in rounds]
        waits = [wait for cell in cells for wait in cell.waits]
        events = rate(f"writer {count}")
        commits = statistics.median(cell.commits / cell.seconds for cell in cells)
        figures = f"{events:,.0f} | {commits:,.0f} | {events / commits:.1f}"
        lines.append(f"| {count} | {figures} | {quantile(waits, 0.5):.1f} | {quantile(waits, 0.99):.1f} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each cell")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    lines = [
        "# Events acknowledged by the store",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}. Command:",
        f"`python benchmarks/bench_store.py --seconds {arguments.seconds:g} --rounds {arguments.rounds}"
        " --out benchmarks/store.md`",
        "",
        "An event counts when the call that stored it has returned, so it is on the disk (synchronous=FULL, fsync on).",
        f"Medians of {arguments.rounds} rounds; client and database share the cores. Load of the machine at the start: "
        f"{os.getloadavg()[0]:.1f}.",
        "",
    ]
    folder = binaries()
    assert folder is not None, "no PostgreSQL is installed"
    server = PostgresServer(folder, durable=True)
    try:
        with tempfile.TemporaryDirectory() as place:
            urls = {"SQLite": f"sqlite:///{place}/store.sqlite", "PostgreSQL": server.new_database()}
            for name, url in urls.items():
                rounds = [
                    dict(one_round(url, Path(place), number, arguments.seconds)) for number in range(arguments.rounds)
                ]
                lines += report(name, rounds)
    finally:
        server.close()
    page = "\n".join(lines)
    print(page)
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
