"""Opening, closing and housekeeping."""

from __future__ import annotations

import copy
import gc
import os
import pathlib
import pickle
import sqlite3
import stat
import weakref
from typing import Any

import pytest

import luat_kv
from luat_kv import BusyError, CorruptError, Error, InvalidError, IoError, LimitError, ReadonlyError, Store


def test_what_was_put_is_there_when_it_is_opened_again(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "deep" / "er" / "kv.db"
    with luat_kv.open(file, durability="full", busy_timeout=0.5) as store:
        store.namespace("a")["key"] = b"value"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for path in (str(file), os.fsencode(file), file):
        with luat_kv.open(path, readonly=True, nowait=True) as store:
            assert store.namespace("a")["key"] == b"value"
            with pytest.raises(ReadonlyError) as caught:
                store.namespace("a")["key"] = b"other"
            assert (caught.value.code, caught.value.status) == ("READONLY", -5)


def test_the_store_of_a_project(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "luat.toml").write_text('[routing]\ndata_dir = "data"\n')
    (tmp_path / "sub").mkdir()
    with luat_kv.open_project(tmp_path / "sub") as store:
        store.namespace("a")["key"] = b"value"
    assert (tmp_path / "data" / "kv.db").exists()
    monkeypatch.chdir(tmp_path / "sub")
    with luat_kv.open_project() as store:
        assert store.namespace("a")["key"] == b"value"
    (tmp_path / "luat.toml").write_text("[routing\n")
    with pytest.raises(InvalidError, match="luat.toml"):
        luat_kv.open_project()


def test_a_url_chooses_the_store(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a b.db"
    for url in (f"file://{tmp_path}/a%20b.db", f"file:{file}", str(file), file.as_uri()):
        with luat_kv.open(url) as store:
            assert store.path == str(file) and repr(store) == f"<luat_kv.Store {str(file)!r}>"
            store.namespace("a").incr("opened")
    with luat_kv.open(file) as store:
        assert store.namespace("a")["opened"] == b"4"
    with luat_kv.open("memory:", limits="cloudflare") as store:
        assert store.path == "memory" and store.namespaces() == []
    monkeypatch.setenv("LUAT_KV_DB", f"file://{tmp_path}/a%20b.db")
    with luat_kv.open_project() as store:
        assert store.namespace("a")["opened"] == b"4"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://user:secret@host/database", "it can be postgresql:, postgres:, file: or memory:"),
        ("file:kv.db?mode=ro", "no query"),
        ("postgresql:user:secret@host", "is postgresql://"),
        ("postgresql://user:secret@secret@host/database", "%40"),
        ("postgresql://user:secret/database", "not a number"),
        ("postgresql://host/database?password=secret=", "name=value"),
        ("postgresql://user:secret\0@host/database", "NUL"),
        (b"postgresql://user:secret@host/database", "not a URL"),
        (pathlib.Path("postgresql:user"), "not a URL"),
    ],
)
def test_a_wrong_url_is_an_error_without_the_password(url: Any, words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        luat_kv.open(url)
    assert words in str(caught.value) and "secret" not in str(caught.value)


def test_options_that_a_server_does_not_have_are_errors() -> None:
    with pytest.raises(InvalidError, match="the server decides"):
        luat_kv.open("postgresql://user:secret@localhost:1/database", durability="full")
    with pytest.raises(InvalidError, match="cache_size is 1,"):
        luat_kv.open("postgresql://user:secret@localhost:1/database", cache_size=1)
    with pytest.raises(Error) as caught:
        luat_kv.open("postgresql://user:secret@localhost:1/database")
    assert "secret" not in str(caught.value)


def test_what_cannot_be_opened(tmp_path: pathlib.Path) -> None:
    (tmp_path / "text").write_text("no database " * 1000)
    for path, kind, code, status in (
        ("", InvalidError, "INVALID", -1),
        (":memory:", InvalidError, "INVALID", -1),
        ("a\0b", InvalidError, "INVALID", -1),
        (tmp_path, IoError, "IO", -2),
        (tmp_path / "text", CorruptError, "CORRUPT", -4),
    ):
        with pytest.raises(kind) as caught:
            luat_kv.open(path)
        assert (caught.value.code, caught.value.status) == (code, status) and str(caught.value)
    with pytest.raises(IoError):
        luat_kv.open(tmp_path / "missing", readonly=True)
    for wrong in (None, 5, 1.5, ["a"]):
        with pytest.raises(TypeError):
            luat_kv.open(wrong)  # type: ignore[arg-type]
    assert sorted(os.listdir(tmp_path)) == ["text"]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"limits": "none"}, InvalidError),
        ({"limits": 1}, TypeError),
        ({"durability": "FULL"}, InvalidError),
        ({"durability": None}, TypeError),
        ({"busy_timeout": -1}, InvalidError),
        ({"busy_timeout": float("nan")}, InvalidError),
        ({"busy_timeout": float("inf")}, InvalidError),
        ({"busy_timeout": 2**32}, InvalidError),
        ({"busy_timeout": 10**5000}, InvalidError),
        ({"busy_timeout": "5"}, TypeError),
        ({"cache_size": -1}, InvalidError),
        ({"cache_size": 2**64}, InvalidError),
        ({"cache_size": 2**64 - 1}, InvalidError),
        ({"cache_size": 1.5}, TypeError),
        ({"cache_size": None}, TypeError),
        ({"busy_timeout": True}, TypeError),
        ({"readonly": 1}, TypeError),
        ({"nowait": "no"}, TypeError),
        ({"readOnly": True}, TypeError),
    ],
)
def test_what_is_no_option(tmp_path: pathlib.Path, options: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=next(iter(options))):
        luat_kv.open(tmp_path / "kv.db", **options)
    with pytest.raises(kind, match=next(iter(options))):
        luat_kv.open_project(tmp_path, **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (-1, "cache_size must be from 0 to 18446744073709551615, not -1"),
        (2**60, "cache_size is 1152921504606846976 bytes, more than the memory"),
        ("1", "cache_size must be an int, not str"),
    ],
)
def test_what_is_no_size_of_a_cache(tmp_path: pathlib.Path, size: Any, message: str) -> None:
    with pytest.raises((InvalidError, TypeError), match=message):
        luat_kv.open(tmp_path / "kv.db", cache_size=size)


def test_another_connection_that_writes_is_waited_for(tmp_path: pathlib.Path, child: Any) -> None:
    luat_kv.open(tmp_path / "kv.db").close()
    code = """
import luat_kv, sqlite3, subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", '''
import sqlite3, sys
db = sqlite3.connect("kv.db", isolation_level=None)
db.execute("begin immediate")
print("held", flush=True)
sys.stdin.read()
'''], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
other.stdout.readline()
ways = (({"busy_timeout": 0.3}, 0.25), ({"busy_timeout": 0}, 0), ({"nowait": True}, 0))
for options, least in ways:
    with luat_kv.open("kv.db", **options) as store:
        began = time.monotonic()
        try:
            store.namespace("a")["key"] = b"1"
        except luat_kv.BusyError as error:
            print(error.code, error.status, time.monotonic() - began >= least)
other.communicate()
"""
    assert child(code).stdout == "BUSY -3 True\n" * 3


def test_a_file_that_pythons_own_sqlite_has_open_is_refused(tmp_path: pathlib.Path) -> None:
    luat_kv.open(tmp_path / "kv.db").close()
    other = sqlite3.connect(tmp_path / "kv.db")
    other.execute("select count(*) from sqlite_master").fetchone()
    with pytest.raises(BusyError):
        luat_kv.open(tmp_path / "kv.db")
    other.close()
    luat_kv.open(tmp_path / "kv.db").close()


def test_a_closed_store_says_so(store: Store) -> None:
    kv = store.namespace("a")
    kv["key"] = b"1"
    batch, begun = kv.batch().put("key", b"2"), iter(kv)
    assert not store.closed and not repr(store).endswith(", closed>")
    store.close()
    store.close()
    assert store.closed and repr(store).endswith(", closed>") and "closed" in repr(kv)
    calls: list[Any] = [
        lambda: store.namespace("b"), store.batch, store.namespaces, store.stats, store.sweep, store.compact,
        store.checkpoint, lambda: store.backup("x"), store.__enter__, lambda: kv["key"], lambda: kv.get("key"),
        lambda: kv.get_entry("key"), lambda: kv.get_many(["key"]), lambda: "key" in kv, lambda: kv.put("key", b"2"),
        lambda: kv.add("key", b"2"), lambda: kv.touch("key"), lambda: kv.incr("n"), lambda: kv.delete("key"),
        lambda: kv.pop("key"), lambda: kv.list(), lambda: next(begun), lambda: len(kv), kv.clear, kv.batch,
        lambda: kv.delete_prefix("k"), lambda: kv.export("x"), lambda: kv.import_("x"), batch.commit,
        lambda: batch.delete("key"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(InvalidError, match="the store is closed") as caught:
            call()
        assert caught.value.code == "INVALID"


def test_handles_go_in_any_order(tmp_path: pathlib.Path) -> None:
    store = luat_kv.open(tmp_path / "kv.db")
    kv, other = store.namespace("a"), store.namespace("a")
    batch = kv.batch().put("key", b"1")
    del kv
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None
    other["other"] = b"2"  # keeps the store open
    del other
    assert batch.commit()
    del batch
    gc.collect()
    with luat_kv.open(tmp_path / "kv.db") as store:
        assert dict(store.namespace("a")) == {"key": b"1", "other": b"2"}
    assert os.listdir(tmp_path) == ["kv.db"], "the last one to close takes the log away"


def test_a_namespace_that_could_not_be_opened(store: Store) -> None:
    for bad, kind in (("", InvalidError), (b"\xff", InvalidError), ("x" * 5000, LimitError), (None, TypeError)):
        with pytest.raises(kind):
            store.namespace(bad)  # type: ignore[arg-type]
    gc.collect()
    assert store.namespaces() == []


def test_handles_cannot_be_copied(store: Store) -> None:
    kv = store.namespace("a")
    for handle in (store, kv, kv.batch()):
        for action in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                action(handle)


def test_errors_are_pythons_own_too_and_can_be_pickled(store: Store) -> None:
    assert issubclass(InvalidError, ValueError) and issubclass(LimitError, ValueError)
    assert issubclass(IoError, OSError) and issubclass(luat_kv.NoMemoryError, MemoryError)
    with pytest.raises(Error) as caught:
        store.namespace("a")["k" * 5000] = b""
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.code, again.status, str(again)) == (LimitError, "LIMIT", -6, str(caught.value))
    codes = {kind.code: kind.status for kind in Error.__subclasses__()}
    names = ["INVALID", "IO", "BUSY", "CORRUPT", "READONLY", "LIMIT", "NOMEM", "PANIC", "INTERNAL"]
    assert codes == {**{name: -i for i, name in enumerate(names, 1)}, "CONFLICT": 2}


def test_housekeeping(tmp_path: pathlib.Path) -> None:
    with luat_kv.open(tmp_path / "kv.db") as store:
        kv = store.namespace("a")
        kv.update({str(i): b"x" * 1000 for i in range(100)})
        store.namespace("b")["one"] = b"1"
        assert store.namespaces() == ["a", "b"]
        stats = store.stats()
        assert stats.path == store.path == str(tmp_path / "kv.db") and stats.file_size > 100_000
        assert stats.namespaces == {"a": (100, 0), "b": (1, 0)} and stats.namespaces["a"].live == 100
        store.backup(tmp_path / "copy.db")
        with pytest.raises(IoError):
            store.backup(tmp_path / "copy.db")
        kv.clear()
        store.compact()
        assert store.checkpoint() is True
        assert store.stats().file_size < 100_000
        assert store.sweep() == 0 and store.sweep(5) == 0
        for bad in (0, -1, 2**64):
            with pytest.raises(InvalidError, match="max must be from"):
                store.sweep(bad)
    with luat_kv.open(tmp_path / "copy.db") as store:
        assert len(store.namespace("a")) == 100
    with luat_kv.open_memory() as store, pytest.raises(InvalidError):
        store.backup(tmp_path / "memory.db")


def test_the_cache(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "kv.db"
    with luat_kv.open(path, cache_size=2**20) as store, luat_kv.open(path, cache_size=0) as plain:
        kv, other = store.namespace("a"), plain.namespace("a")
        for value in (b"1", b"2"):
            other["k"] = value
            assert [kv["k"] for _ in range(4)] == [value] * 4
        figures = store.stats().cache
        assert figures.hits >= 2 and figures.misses > 0 and 0 < figures.size <= 2**20
        hits = figures.hits
        assert [other["k"] for _ in range(4)] == [b"2"] * 4
        assert store.stats().cache.hits == hits
    assert luat_kv.open_memory().stats().cache == (0, 0, 0, 0)
