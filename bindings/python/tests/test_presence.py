"""Whether keys exist, their removal, and the versions that writes return."""

from __future__ import annotations

import pathlib
import sqlite3
import threading
import time
from typing import Any, Callable

import pytest

import luat_kv
from luat_kv import CorruptError, Namespace, Store


def test_in_looks_for_live_keys(store: Store, kv: Namespace) -> None:
    kv["key"], kv["empty"], kv["large"] = b"v", b"", b"x" * 100_000
    kv.put("soon", b"v", expiration_ttl=1)
    assert all(key in kv for key in ("key", b"key", "empty", "large", "soon"))
    assert not any(key in kv for key in ("ke", "key\0", "missing")) and "key" not in store.namespace("other")
    del kv["key"]
    time.sleep(2.1)
    assert "key" not in kv and "soon" not in kv


def test_delete_returns_whether_the_key_was_there(kv: Namespace) -> None:
    kv["key"], kv["stays"] = b"v", b"v"
    kv.put("soon", b"v", expiration_ttl=1)
    assert [kv.delete("key"), kv.delete(b"key"), kv.delete("missing")] == [True, False, False]
    with pytest.raises(KeyError):
        del kv["key"]
    time.sleep(2.1)
    assert kv.delete("soon") is False and list(kv) == ["stays"]


def test_take_returns_the_entry_and_removes_the_key(kv: Namespace) -> None:
    kv.put("key", b"v\0alue", metadata={"a": [1]}, expiration_ttl=1000)
    before = kv.get_entry("key")
    assert before is not None and kv.take(b"key") == before
    assert "key" not in kv and kv.take("key") is None
    kv["large"] = b"x" * 100_000
    entry = kv.take("large")
    assert entry is not None and entry.value == b"x" * 100_000 and entry.metadata is None and not kv


def test_a_take_that_fails_leaves_the_key(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "kv.db"
    luat_kv.open(path).close()
    database = sqlite3.connect(path)
    with database:
        database.execute("INSERT INTO kv (namespace, key, value, metadata) VALUES ('a', 'key', X'31', '{bad')")
    database.close()
    with luat_kv.open(path) as store:
        kv = store.namespace("a")
        with pytest.raises(CorruptError, match="the metadata of 'key' is not JSON"):
            kv.take("key")
        assert kv["key"] == b"1"


def test_a_take_removes_only_what_it_returns(kv: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer stores a new value, and then removes the key, between the read and the removal."""
    kv["key"] = b"old"
    batch = Namespace.batch
    writers: list[Callable[[], Any]] = [lambda: kv.put("key", b"new")]

    def interrupted(namespace: Namespace) -> luat_kv.Batch:
        if writers:
            writers.pop(0)()
        return batch(namespace)

    monkeypatch.setattr(Namespace, "batch", interrupted)
    entry = kv.take("key")
    assert entry is not None and entry.value == b"new" and not writers and not kv
    kv["key"] = b"old"
    writers.append(lambda: kv.delete("key"))
    assert kv.take("key") is None and not writers


def test_of_several_threads_one_removes_a_key(kv: Namespace) -> None:
    keys = [f"k{i}" for i in range(60)]
    won: list[str] = []
    for key in keys:
        kv[key] = b"1"

    def remove(key: str) -> bool:
        try:
            del kv[key]
        except KeyError:
            return False
        return True

    ways: list[Callable[[str], Any]] = [kv.take, kv.delete, lambda key: kv.pop(key, None), remove]

    def work() -> None:
        won.extend(key for i, key in enumerate(keys) if ways[i % 4](key))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(keys) and not kv


def version(kv: Namespace, key: str) -> str:
    entry = kv.get_entry(key)
    assert entry is not None
    return entry.version


def test_put_returns_the_version_of_the_entry(kv: Namespace) -> None:
    first = kv.put("key", b"1")
    assert first == version(kv, "key") and len(first) == 16
    second = kv.put("key", b"1", metadata="m", expiration_ttl=100)
    assert second == version(kv, "key") != first
    assert kv.put_json("key", [1]) == version(kv, "key") != second
    assert kv.batch().check("key", first).put("key", b"2").commit() is None
    assert kv.batch().check("key", version(kv, "key")).put("key", b"3").commit() == version(kv, "key")


def test_add_returns_the_version_or_None(kv: Namespace) -> None:
    added = kv.add("key", b"1", metadata={"a": 1})
    assert added is not None and added == version(kv, "key")
    assert kv.add("key", b"2") is None and kv["key"] == b"1" and version(kv, "key") == added
