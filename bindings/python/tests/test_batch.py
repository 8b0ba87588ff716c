"""Batches."""

from __future__ import annotations

import threading

import pytest

import luat_kv
from luat_kv import ConflictError, InvalidError, LimitError, Namespace, Store


def version(kv: Namespace, key: str) -> str:
    entry = kv.get_entry(key)
    assert entry is not None
    return entry.version


def test_all_or_nothing(store: Store) -> None:
    kv, log = store.namespace("stock"), store.namespace("log")
    kv["apples"] = b"10"
    before = version(kv, "apples")
    batch = kv.batch().check("apples", before).check("pears", None).put("apples", b"9", metadata={"by": "a"})
    done = batch.incr("sold").delete("plums").put("1", "an apple", namespace=log).commit()
    assert done and done == version(kv, "apples") == version(log, "1")
    assert dict(kv) == {"apples": b"9", "sold": b"1"} and log["1"] == b"an apple"
    assert kv.batch().check("apples", before).put("apples", b"0").commit() is None


def test_a_batch_of_a_store_is_told_its_namespaces(store: Store) -> None:
    kv = store.namespace("a")
    assert store.batch().put("key", b"1", namespace=kv).commit() and kv["key"] == b"1"
    with pytest.raises(TypeError, match="argument namespace"):
        store.batch().put("key", b"1")
    with pytest.raises(TypeError, match="must be a Namespace"):
        store.batch().put("key", b"1", namespace="a")  # type: ignore[arg-type]
    with luat_kv.open_memory() as other, pytest.raises(InvalidError):
        store.batch().put("key", b"2", namespace=other.namespace("a"))
    # An empty namespace is false, but is a namespace.
    assert kv.batch().put("key", b"2", namespace=store.namespace("empty")).commit() and kv["key"] == b"1"


def test_in_a_with_statement_it_commits(kv: Namespace) -> None:
    with kv.batch() as batch:
        batch.put("a", b"1")
        assert "a" not in kv
    assert kv["a"] == b"1"
    with pytest.raises(KeyError), kv.batch() as batch:
        batch.put("a", b"2")
        raise KeyError
    with pytest.raises(ConflictError) as caught, kv.batch() as batch:
        batch.check("a", None).put("a", b"2")
    assert (caught.value.code, caught.value.status) == ("CONFLICT", 2)
    with kv.batch() as batch:
        batch.put("b", b"1")
        assert batch.commit()
    assert dict(kv) == {"a": b"1", "b": b"1"}


def test_what_a_batch_refuses(kv: Namespace) -> None:
    kv["text"] = b"one"
    batch = kv.batch().put("a", b"1")
    for bad in ("", "nonsense", "\ud800"):
        with pytest.raises(InvalidError):
            batch.check("a", bad)
    with pytest.raises(TypeError, match="a version must be"):
        batch.check("a", 5)  # type: ignore[arg-type]
    with pytest.raises(LimitError):
        batch.put("k" * 5000, b"")
    with pytest.raises(InvalidError):
        batch.delete(b"\xff")
    with pytest.raises(InvalidError):
        batch.incr("n", 2**63)
    assert batch.commit(), "it is as it was after each error"
    for late in (batch.commit, lambda: batch.put("a", b"2"), lambda: batch.delete("a")):
        with pytest.raises(InvalidError):
            late()
    with pytest.raises(InvalidError):
        kv.batch().put("a", b"3").incr("text").commit()
    assert dict(kv) == {"a": b"1", "text": b"one"}


def test_threads_that_share_one_wait_for_each_other(kv: Namespace) -> None:
    batch = kv.batch()

    def work(name: str) -> None:
        for i in range(500):
            batch.put(f"{name}{i}", b"x" * 100)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert batch.commit() and len(kv) == 2000
