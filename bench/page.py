"""Writes docs/performance.md and its charts from the figures of bench/run. `make bench-page` runs it."""

from __future__ import annotations

import charts
from figures import BENCHES, BY_KEYS, DOCS, KEYS, LEVELS, PEERS, RESULTS, number, value, versions

HEAD = """\
# Performance

`make bench` measured these figures in one run, on {date}, on the [machine below](#the-machine), and wrote this page.
Times differ from machine to machine, and on one machine from day to day; what carries over is how stores compare within
a table. Stores that are compared take turns in one process, and a figure is the median of their rounds.
"""

PEERS_TEXT = """\
## Beside other stores

![get and put of luat_kv and other stores, by language](charts/peers.svg)

Values have 100 bytes and keys 13. A put is a transaction of its own, without a sync. A get reads one of 2000 keys that
were read before and not written since, of 20 000 in the store (from Python all 20 000, from Node 2000 of 2000); luat_kv
has them in its [cache](storage.md#cache). What each comparison leaves out:

- **SQLite** (`synchronous=NORMAL`) runs two kept statements on a table with the columns of luat_kv. It does no
  expiration, versions or limits, which are left to the program. From C it is the SQLite inside luat_kv.
- **LMDB** runs without sync (`MDB_NOSYNC`): a power failure may damage its file, while luat_kv and SQLite lose the last
  writes at most. With a sync for each put it is [below](#durability). It has no expiration.
- **Redis** keeps everything in memory, here without persistence, and each call waits for the answer over a Unix socket.
  A program that sends many commands at once, in a pipeline, waits less for each. Its server uses a core of its own.
- **better-sqlite3** has the smallest table that can do it: a key and a value.
- **lmdb-js** keeps a snapshot for a turn of the event loop, so its reads do not look for writes of other processes; those
  of the others do.
- **diskcache** has its default settings. Its files also have an eviction policy and tags.
- **A Lua table** shares nothing with other processes and is gone with its own. It is what the module's store in memory
  is measured against.
"""

DURABILITY_TEXT = """\
## Durability

![put by what survives a power failure](charts/durability.svg)

What survives the end of a process is the same for all of them but Redis without persistence: each completed write. They
differ in what survives a power failure. A put that waits for the disk takes what the disk takes; LMDB waits twice.
"""

KEYS_TEXT = """\
## The number of keys

![operations by the number of keys in the file](charts/keys.svg)

Values of 100 bytes, from Rust, in µs. The file with 10 000 000 keys has {size} GB. "Open and close again" is what a second
store on the same file costs in a process.
"""

VALUES_TEXT = """\
## The size of values

Only the first of these operations returns a value. The others cost about the same whatever the size of the values in
the file is. A file has 20 000 values of up to 2 kB, and fewer of the larger ones, down to 12 of 32 MB. From Rust, in µs,
unless the row has another unit.
"""

LUA_TEXT = """\
## Lua

The Lua 5.4 module, in µs. The baseline is a minimal C function over one kept SQLite statement, unless the row names
another in parentheses; the ratio is the median of the ratios of the rounds.
"""

WRITERS_TEXT = """\
## Processes that write at the same time

They put into one file as fast as they can. SQLite waits with its busy timeout. Its table has keys and values alone, or
the columns and the index of a store.
"""

READS_TEXT = """\
## Threads and processes that read

Gets of one thread and of two, and operations of four processes, beside raw SQLite with a connection each; luat_kv with
its cache, and without.
"""

WATCH_TEXT = """\
## Watches

How soon a [watch](watch.md) in another process has a change, counted from before the put, which is made each millisecond
or so by a process that sleeps meanwhile; and what watches cost. On [PostgreSQL](postgres.md#watches), over a Unix socket, the
changes come at random times.
"""

SCALE_TEXT = """\
## Many keys at once

What it costs to remove, import and expire 1 000 000 keys, and what another process that puts as fast as it can notices:
"""

POSTGRES_TEXT = """\
## PostgreSQL

A store on a [PostgreSQL server](postgres.md) over a Unix socket, beside pgbench, which sends the statements that the
server has logged of the store. The server does not wait for the disk (`fsync=off`), which would hide what the client
costs. Keys and values are those of the first table. A batch has 100 puts.
"""

HOSTS = {"python": "Python", "node": "Node", "go": "Go", "wasm": "WebAssembly"}

RUN_TEXT = """\
## How to measure

```sh
make bench                  # everything, in about a quarter of an hour; it installs the other stores
bench/run peers lua         # then only some of the benches
make bench-page             # this page, from the figures there are
```

`bench/run` names the benches. What a busy machine cannot change is measured in another way: `make c-instructions` and
`make lua-instructions` count the instructions of operations, and are part of `make test`.
"""


def table(corner: str, columns: list[str], rows: list[tuple[str, list[str]]]) -> str:
    lines = [[corner, *columns], ["---", *["---:"] * len(columns)], *([name, *cells] for name, cells in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def pivot(bench: str, corner: str, columns: list[str], names: list[str] | None = None) -> str:
    """A table of a bench's figures: a row for each operation, a column for each subject."""
    units = {line[0]: line[3] for line in BENCHES[bench]["lines"]}
    rows = []
    for operation, unit in units.items():
        cells = [number(value(bench, operation, column)) for column in columns]
        if any(cells):
            rows.append((operation if unit in {"µs", ""} else f"{operation}, {unit}", cells))
    return table(corner, names or columns, rows)


def subjects(bench: str) -> list[str]:
    return list(dict.fromkeys(line[1] for line in BENCHES[bench]["lines"]))


def peers() -> str:
    rows = [(f"{peer.language}: {peer.name}", [number(peer.get), number(peer.put)]) for peer in PEERS]
    return PEERS_TEXT + "\n" + table("store", ["get, µs", "put, µs"], rows)


def durability() -> str:
    rows = [(f"{name}: {level}", [number(value("peers", "put", name))]) for level, names in LEVELS for name in names]
    return DURABILITY_TEXT + "\n" + table("store, and what survives", ["put, µs"], rows)


def keys() -> str:
    size = value("sizes", "file size", KEYS[-1]) or 0
    rows = [(name, [number(value("sizes", name, count)) for count in KEYS]) for name in BY_KEYS]
    columns = [f"{int(count.split()[0]):,} keys".replace(",", " ") for count in KEYS]
    return KEYS_TEXT.format(size=f"{size / 1000:.1f}") + "\n" + table("operation", columns, rows)


def values() -> str:
    files = [subject for subject in subjects("sizes") if subject not in KEYS]
    return VALUES_TEXT + "\n" + pivot("sizes", "operation", files, [file.split(" of ")[1] for file in files])


def lua() -> str:
    return LUA_TEXT + "\n" + pivot("lua", "operation", ["luat_kv", "baseline", "ratio"])


def writers() -> str:
    operations = {line[0]: f"{line[0]}, {line[3]}" for line in BENCHES["writers"]["lines"]}
    rows = [(store, [number(value("writers", operation, store)) for operation in operations])
            for store in subjects("writers")]
    return WRITERS_TEXT + "\n" + table("store", list(operations.values()), rows)


def printed(text: str, bench: str) -> str:
    """What a bench has printed, where it prints a table of its own."""
    return f"{text}\n```\n{BENCHES[bench]['text'].strip()}\n```\n"


def reads() -> str:
    return printed(READS_TEXT, "reads")


def watch() -> str:
    rows = [(f"{operation}: {subject}", [f"{number(figure)} {unit}".strip()])
            for operation, subject, figure, unit in BENCHES["watch"]["lines"]]
    return WATCH_TEXT + "\n" + table("figure", [""], rows)


def scale() -> str:
    return printed(SCALE_TEXT, "scale")


def postgres() -> str:
    names = [name for name in dict.fromkeys(line[0] for line in BENCHES["postgres"]["lines"])]
    columns = ["luat_kv", "pgbench", "ratio"]
    units = {line[0]: line[3] for line in BENCHES["postgres"]["lines"] if line[1] == "luat_kv"}
    rows = [(f"{name}, {units[name]}", [number(value("postgres", name, column)) for column in columns])
            for name in names if value("postgres", name, "pgbench")]
    redis = ["get", "put"]
    rows += [(f"{name} of Redis, not persistent, µs", [number(value("peers", name, "Redis, no persistence")), "", ""])
             for name in redis if value("peers", name, "Redis, no persistence")]
    far = [(name, [number(value("postgres", name, "round trips"))]) for name in names
           if value("postgres", name, "round trips")]
    many = "puts in batches of 1000, durable"
    text = (f"\nOn a server that waits for the disk, single puts store {number(value('postgres', 'puts, durable', 'luat_kv'))} "
            f"entries a second, and batches of 1000 {number(value('postgres', many, 'luat_kv'))}: "
            f"{number(value('postgres', many, 'as many as single ones'))} times as many.\n\n"
            "A proxy that delays each direction by a millisecond shows how many round trips an operation takes:\n\n")
    return POSTGRES_TEXT + "\n" + table("operation", columns, rows) + text + table("operation", ["round trips"], far)


def host(bench: str, title: str) -> str:
    """What a bench of a binding has printed: tables if it has figures, else its text."""
    head = f"## {title}\n\n`make bench-{bench}` measures it"
    if BENCHES[bench]["lines"]:
        return f"{head}, in µs:\n\n" + pivot(bench, "operation", subjects(bench))
    return f"{head}:\n\n```\n{BENCHES[bench]['text'].strip()}\n```\n"


def machine() -> str:
    facts = {**RESULTS["machine"], **versions()}
    return "## The machine\n\n" + "".join(f"- {name}: {found}\n" for name, found in facts.items())


def main() -> None:
    parts = [HEAD.format(date=RESULTS["date"])]
    for bench, make in [("peers", peers), ("peers", durability), ("sizes", keys), ("sizes", values), ("lua", lua),
                        ("writers", writers), ("reads", reads), ("watch", watch), ("scale", scale), ("postgres", postgres)]:
        if bench in BENCHES:
            parts.append(make())
    parts += [host(bench, title) for bench, title in HOSTS.items() if bench in BENCHES]
    (DOCS / "performance.md").write_text("\n".join([*parts, machine(), RUN_TEXT]))
    charts.draw()


main()
