"""Times the package beside the C library alone, Python's sqlite3 and py-lmdb, and prints a table: see bench/run.

    python bench.py FOLDER LOOP [--json]

FOLDER is empty and lies on a disk; LOOP is loop.c, compiled as a shared library. With --json it prints the results as a
JSON object a line.

Only ratios of one run say something: machines differ, and one machine differs from second to second. So all take turns,
and a ratio is the median of the ratios of the rounds. A missed goal is shown and fails nothing.
"""

from __future__ import annotations

import ctypes
import json
import pathlib
import random
import sqlite3
import statistics
import sys
import time
from typing import Any, Callable, Iterator

import diskcache
import lmdb

import luat_kv
from luat_kv import _library

ROUNDS, KEYS, PUTS = 15, 20000, 2000
folder, loop = pathlib.Path(sys.argv[1]), ctypes.CDLL(sys.argv[2])

# Keys of 13 bytes, in random order but the same ones in each run; values of 100 bytes.
keys = [f"key:{i:09d}" for i in range(KEYS)]
random.Random(20000).shuffle(keys)
raw_keys = [key.encode() for key in keys]
joined = b"".join(raw_keys)


def new_value(count: list[int] = [0]) -> bytes:
    """Returns another value each time, since SQLite writes nothing if a row stays as it is."""
    count[0] += 1
    return b"%010d" % count[0] * 10


kv = luat_kv.open(folder / "kv.db").namespace("bench")
memory = luat_kv.open_memory().namespace("bench")

# The store's own table and pragmas, and the statements that an author of such a program would write.
db = sqlite3.connect(folder / "sqlite.db", isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = NORMAL")
db.execute("PRAGMA cache_size = -16384")
db.execute("""
    CREATE TABLE kv (
        namespace TEXT NOT NULL, key TEXT NOT NULL, expiration INTEGER, metadata TEXT, value BLOB,
        PRIMARY KEY (namespace, key))""")
GET = "SELECT value FROM kv WHERE namespace = ? AND key = ?"
PUT = """
    INSERT INTO kv (namespace, key, value) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET value = excluded.value, expiration = NULL, metadata = NULL"""

# Without sync, since neither SQLite in WAL mode nor the store waits for the disk with each write.
environment = lmdb.open(str(folder / "lmdb"), map_size=1 << 28, sync=False)

# With its default settings, which are those above for SQLite.
cache = diskcache.Cache(str(folder / "diskcache"))
for key in keys:
    cache.set(key, new_value())


def get() -> None:
    for key in keys:
        kv.get(key)


def get_bytes() -> None:
    for key in raw_keys:
        kv.get(key)


def get_memory() -> None:
    for key in keys:
        memory.get(key)


def has() -> None:
    for key in keys:
        key in kv


def get_c() -> None:
    assert loop.read_all(*c_arguments("luat_kv_get"), KEYS) == KEYS


def get_sqlite() -> None:
    for key in keys:
        db.execute(GET, ("bench", key)).fetchone()[0]


def get_lmdb() -> None:
    for key in keys:
        with environment.begin() as transaction:
            transaction.get(key.encode())


def get_lmdb_bytes() -> None:
    for key in raw_keys:
        with environment.begin() as transaction:
            transaction.get(key)


def get_lmdb_snapshot() -> None:
    with environment.begin() as transaction:
        for key in raw_keys:
            transaction.get(key)


def get_diskcache() -> None:
    for key in keys[:PUTS]:
        cache.get(key)


def put(count: int = PUTS) -> None:
    value = new_value()
    for key in keys[:count]:
        kv.put(key, value)


def put_c() -> None:
    value = new_value()
    stored = loop.put_all(*c_arguments("luat_kv_put_versioned"), PUTS, value, ctypes.c_size_t(len(value)))
    assert stored == PUTS


def put_sqlite(count: int = PUTS) -> None:
    value = new_value()
    for key in keys[:count]:
        db.execute(PUT, ("bench", key, value))


def put_lmdb(count: int = PUTS) -> None:
    value = new_value()
    for key in keys[:count]:
        with environment.begin(write=True) as transaction:
            transaction.put(key.encode(), value)


def put_diskcache() -> None:
    value = new_value()
    for key in keys[:PUTS]:
        cache.set(key, value)


def c_arguments(function: str) -> tuple[Any, ...]:
    """Returns the first arguments of a function of loop.c: the function to call, the namespace, and the keys."""
    addresses = _library.address_of(function), kv._handle.address
    return (*map(ctypes.c_void_p, addresses), joined, ctypes.c_size_t(len(raw_keys[0])))


ROWS: list[tuple[str, int, Callable[[], None]]] = [
    ("get", KEYS, get),
    ("get, the key as bytes", KEYS, get_bytes),
    ("get, C library alone", KEYS, get_c),
    ("get, a store in memory", KEYS, get_memory),
    ("get, sqlite3", KEYS, get_sqlite),
    ("get, py-lmdb", KEYS, get_lmdb),
    ("get, py-lmdb, the key as bytes", KEYS, get_lmdb_bytes),
    ("get, py-lmdb, one snapshot for all", KEYS, get_lmdb_snapshot),
    ("get, diskcache", PUTS, get_diskcache),
    ("key in kv", KEYS, has),
    ("put", PUTS, put),
    ("put, C library alone", PUTS, put_c),
    ("put, sqlite3", PUTS, put_sqlite),
    ("put, py-lmdb without sync", PUTS, put_lmdb),
    ("put, diskcache", PUTS, put_diskcache),
]
GOALS = [
    ("get", "get, py-lmdb", 1.2),
    ("get, the key as bytes", "get, py-lmdb, the key as bytes", 1.2),
    ("get", "get, sqlite3", 0.4),
    ("put", "put, sqlite3", 1.0),
]
# The difference of two rows is what the package adds to the library.
ADDED = [("get", "get, C library alone"), ("put", "put, C library alone")]


def measure(rows: list[tuple[str, int, Callable[[], None]]]) -> dict[str, list[float]]:
    """Returns the times of each row, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name, _, _ in rows}
    for _ in range(ROUNDS):
        for name, count, work in rows:
            begin = time.perf_counter()
            work()
            times[name].append((time.perf_counter() - begin) / count * 1e6)
    return times


def results(times: dict[str, list[float]]) -> Iterator[dict[str, Any]]:
    """The lines of --json."""

    def line(subject: str, **more: Any) -> dict[str, Any]:
        return {"host": "Python", "operation": subject.split(",")[0], "subject": subject, **more}

    for name, of in times.items():
        yield line(name, microseconds=statistics.median(of))
    for ours, theirs, most in GOALS:
        ratio = statistics.median(a / b for a, b in zip(times[ours], times[theirs]))
        yield line(ours, peer=theirs, ratio=ratio, goal=most)
    for ours, alone in ADDED:
        yield line(ours, peer=alone, more=statistics.median(a - b for a, b in zip(times[ours], times[alone])))


def show(line: dict[str, Any]) -> str:
    if "microseconds" in line:
        return f"{line['subject']:56} {line['microseconds']:8.2f} µs"
    if "more" in line:
        return f"{line['subject'] + ' - ' + line['peer']:56} {line['more']:8.2f} µs"
    missed = " MISSED" if line["ratio"] > line["goal"] else ""
    return f"{line['subject'] + ' : ' + line['peer']:56} {line['ratio']:8.2f}, goal {line['goal']}{missed}"


def main() -> None:
    put(KEYS)
    memory.update((key, new_value()) for key in keys)
    put_sqlite(KEYS)
    put_lmdb(KEYS)
    for _ in range(40):
        get()  # the cache takes a value at its second read, and some later
    # Writes come after all reads: they are measured by themselves, and so is what a read takes that finds its value in
    # the cache.
    times = measure([row for row in ROWS if not row[0].startswith("put")])
    times.update(measure([row for row in ROWS if row[0].startswith("put")]))
    if "--json" in sys.argv:
        for line in results(times):
            print(json.dumps(line))
        return
    print(f"Python {sys.version.split()[0]}, luat_kv {luat_kv.library_version}, SQLite {sqlite3.sqlite_version}, "
          f"py-lmdb {lmdb.__version__}; medians of {ROUNDS} rounds\n")
    for line in results(times):
        print(show(line))


main()
