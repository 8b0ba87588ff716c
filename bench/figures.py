"""What bench/run has measured, and which of it the charts and docs/performance.md show."""

from __future__ import annotations

import json
import pathlib
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RESULTS = json.loads((ROOT / "target/bench/results.json").read_text())
BENCHES = RESULTS["benches"]


def value(bench: str, operation: str, subject: str) -> float | None:
    """Returns a figure, if it was measured."""
    for line in BENCHES.get(bench, {"lines": []})["lines"]:
        if line[:2] == [operation, subject]:
            return line[2]
    return None


def versions() -> dict[str, str]:
    return {name: version for bench in BENCHES.values() for name, version in bench["versions"].items()}


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}".replace(",", " ")


class Peer(NamedTuple):
    """A store beside others that are called from the same language, with the figures of a get and a put in µs."""

    language: str
    name: str
    get: float | None
    put: float | None


def c(name: str, subject: str) -> Peer:
    return Peer("C", name, value("peers", "get", subject), value("peers", "put", subject))


def lua(name: str, get: str, put: str, subject: str) -> Peer:
    return Peer("Lua 5.4", name, value("lua", get, subject), value("lua", put, subject))


def python(name: str, get: str, put: str) -> Peer:
    return Peer("Python", name, value("python", get, "Python"), value("python", put, "Python"))


def node(name: str, subject: str) -> Peer:
    return Peer("Node", name, value("node", "get", subject), value("node", "put", subject))


HOT = "get of 2000 keys"
PEERS = [peer for peer in [
    c("luat_kv, normal", "luat_kv, normal"),
    c("luat_kv, normal, without its cache", "luat_kv, normal, no cache"),
    c("SQLite, WAL, NORMAL", "SQLite, NORMAL"),
    c("LMDB, NOSYNC", "LMDB, NOSYNC"),
    c("Redis, Unix socket, not persistent", "Redis, no persistence"),
    lua("luat_kv, normal", HOT, "put", "luat_kv"),
    lua("SQLite, WAL, NORMAL, by a C function", HOT, "put", "baseline"),
    lua("luat_kv, in memory", "get, in memory (a Lua table)", "put, in memory (a Lua table)", "luat_kv"),
    lua("a Lua table", "get, in memory (a Lua table)", "put, in memory (a Lua table)", "baseline"),
    python("luat_kv, normal", "get", "put"),
    python("sqlite3, WAL, NORMAL", "get, sqlite3", "put, sqlite3"),
    python("py-lmdb, NOSYNC", "get, py-lmdb", "put, py-lmdb without sync"),
    python("diskcache, WAL, NORMAL", "get, diskcache", "put, diskcache"),
    node("luat_kv, normal", "luat-kv-native"),
    node("better-sqlite3, WAL, NORMAL", "better-sqlite3"),
    node("lmdb-js, NOSYNC", "lmdb-js"),
] if peer.get or peer.put]

# What survives a power failure, and the puts of each store from C that promise it.
LEVELS = [
    ("each write", ["luat_kv, full", "SQLite, FULL", "LMDB, sync", "Redis, appendfsync always"]),
    ("all but the last writes", ["luat_kv, normal", "SQLite, NORMAL", "Redis, appendfsync everysec"]),
    ("nothing is certain", ["LMDB, NOSYNC", "Redis, no persistence"]),
]

KEYS = ["1000 keys", "100000 keys", "10000000 keys"]
BY_KEYS = ["get, one of 1000 keys", "get, any key", "put, any key", "list of 100 names", "open and close",
           "open and close again"]
