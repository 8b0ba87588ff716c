"""Expiry, metadata, versions, lists, counters and JSON."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import sqlite3
import time
from typing import Any

import pytest

import luat_kv
from luat_kv import InvalidError, LimitError, Namespace

TOO_BIG = [-1, 0, 2**63, 2**64, -(2**63) - 1, 10**5000]


@pytest.mark.parametrize(
    "metadata", [{"a": [1, None, "ä"]}, [], {}, "text", 0, -1.5, False, True, 2**53 + 1, 2**63 - 1]
)
def test_metadata_is_any_json(kv: Namespace, metadata: Any) -> None:
    kv.put("key", b"v", metadata=metadata)
    entry = kv.get_entry("key")
    assert entry is not None and entry.metadata == metadata and type(entry.metadata) is type(metadata)
    assert kv.list().entries[0].metadata == metadata == kv.get_entries(["key"])["key"].metadata
    kv.put("key", b"v")
    assert [entry.metadata for entry in kv.entries()] == [None]


def test_what_is_no_metadata(kv: Namespace) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    for bad in ({1, 2}, b"bytes", object()):
        with pytest.raises(TypeError):
            kv.put("key", b"v", metadata=bad)
    for bad in (float("nan"), float("inf"), cycle, deep, "\ud800", 10**400, 10**5000):
        with pytest.raises(ValueError):
            kv.put("key", b"v", metadata=bad)
    with pytest.raises(LimitError, match="metadata"):
        kv.put("key", b"v", metadata="x" * 70000)
    assert "key" not in kv


def test_expiration(kv: Namespace) -> None:
    at = math.ceil(time.time()) + 1000
    kv.put("at", b"1", expiration=at)
    kv.put("ttl", b"2", expiration_ttl=1000, expiration=at + 5000)
    kv["ever"] = b"3"
    entries = {entry.key: entry.expiration for entry in kv.list()}
    assert entries["at"] == at and entries["ever"] is None
    assert entries["ttl"] is not None and at <= entries["ttl"] <= math.ceil(time.time()) + 1000
    assert kv.touch("at") and kv.touch("ever", expiration=at)
    assert {entry.key: entry.expiration for entry in kv.entries(prefix="")}["at"] is None
    kv.put("soon", b"4", expiration_ttl=1)
    assert kv["soon"] == b"4"
    time.sleep(2.1)
    assert "soon" not in kv and kv.get("soon") is None and "soon" not in list(kv)


def test_numbers_may_be_what_stands_for_an_int(kv: Namespace, tmp_path: pathlib.Path) -> None:
    class Index:  # like numpy's integers
        def __index__(self) -> int:
            return 7

    seven: Any = Index()
    kv.put("key", b"1", expiration_ttl=seven)
    entry = kv.get_entry("key")
    assert entry is not None and entry.expiration is not None and 0 < entry.expiration - time.time() <= 8
    assert kv.incr("n", seven, initial=seven) == 14 and len(kv.list(limit=seven)) == 2
    luat_kv.open(tmp_path / "other.db", busy_timeout=seven).close()


@pytest.mark.parametrize("name", ["expiration", "expiration_ttl"])
def test_what_is_no_lifetime(kv: Namespace, name: str) -> None:
    kv["key"] = b"old"
    calls: list[Any] = [
        lambda **o: kv.put("key", b"new", **o),
        lambda **o: kv.put_json("key", 1, **o),
        lambda **o: kv.add("other", b"new", **o),
        lambda **o: kv.touch("key", **o),
        lambda **o: kv.incr("other", **o),
        lambda **o: kv.batch().put("key", b"new", **o),
        lambda **o: kv.batch().incr("other", **o),
    ]
    for call in calls:
        for bad in TOO_BIG:
            with pytest.raises(InvalidError, match=name):
                call(**{name: bad})
        for wrong in ("60", 1.0, float("nan"), b"1", [60], True, False):
            with pytest.raises(TypeError, match=f"{name} must be an int, not"):
                call(**{name: wrong})
    with pytest.raises(InvalidError):
        kv.put("key", b"new", expiration=int(time.time()) - 5)
    with pytest.raises(InvalidError):
        kv.put("key", b"new", expiration_ttl=2**63 - 1)
    assert dict(kv) == {"key": b"old"}


def test_versions(kv: Namespace) -> None:
    kv["key"] = b"1"
    first = kv.get_entry("key")
    kv["key"] = b"1"
    second = kv.get_entry("key")
    assert first is not None and second is not None and first.version != second.version
    assert kv.list().entries[0].version == second.version == kv.get_entries([b"key"])["key"].version


def test_add_and_incr(kv: Namespace) -> None:
    assert kv.add("key", b"1", metadata={"a": 1}) and not kv.add("key", b"2")
    assert kv["key"] == b"1"
    assert [kv.incr("n"), kv.incr("n", 5), kv.incr("n", by=-10), kv.incr("m", 1, initial=41)] == [1, 6, -4, 42]
    assert kv["m"] == b"42"
    kv["max"] = str(2**63 - 1)
    with pytest.raises(InvalidError):
        kv.incr("max")
    kv["text"] = b"one"
    with pytest.raises(InvalidError):
        kv.incr("text")
    for bad in (2**63, 2**64, -(2**63) - 1):
        with pytest.raises(InvalidError, match="by must be from"):
            kv.incr("n", bad)
        with pytest.raises(InvalidError, match="initial must be from"):
            kv.incr("n", initial=bad)
    for wrong in (1.0, True, "1"):
        with pytest.raises(TypeError, match="by must be an int, not"):
            kv.incr("n", wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="initial must be an int, not"):
            kv.incr("n", initial=wrong)  # type: ignore[arg-type]
    assert kv.incr("n", 0) == -4


def test_json(kv: Namespace) -> None:
    value = {"a": [1, 2.5, None, True, "ä😀"], "b": {}}
    kv.put_json("key", value, metadata="m")
    assert kv.get_json("key") == value and json.loads(kv["key"]) == value
    kv.put_json("null", None)
    assert kv.get_json("null", 1) is None and kv["null"] == b"null"
    kv["text"] = b"{broken"
    with pytest.raises(json.JSONDecodeError, match="line 1 column 2"):
        kv.get_json("text")
    with pytest.raises(ValueError):
        kv.put_json("text", float("nan"))
    with pytest.raises(TypeError):
        kv.put_json("text", {1, 2})
    assert kv["text"] == b"{broken"


def test_a_document_or_metadata_with_a_lone_surrogate_is_refused(kv: Namespace) -> None:
    for lone in ("\ud800", ["a\udfff"], {"s": "\ud800"}, {"\udc00": 1}):
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            kv.put_json("key", lone)
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            kv.put("key", b"1", metadata=lone)
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            kv.batch().put("key", b"1", metadata=lone)
    assert not kv
    kv["key"] = b'"\\ud800"'
    assert kv.get_json("key") == "\ud800", "an escape that another program stored is what it says"
    kv.put_json("key", "\U0001f600")
    assert kv["key"] == '"\U0001f600"'.encode()


@pytest.mark.parametrize(
    ("text", "why", "at"),
    [
        (b"NaN", "NaN is not JSON", 0),
        (b'["NaN \\" Infinity", -Infinity]', "-Infinity is not JSON", 20),
        (b'{"a": Infinity}', "Infinity is not JSON", 6),
        (b"\xef\xbb\xbf1", "byte order mark", 0),
        ("1".encode("utf-16"), "Not UTF-8", 0),
        ("[1]".encode("utf-16-le"), "Expecting value", 1),
        ("ä".encode() + b"\xff", "Not UTF-8", 1),
        (b'"\xed\xa0\x80"', "Not UTF-8", 1),
        pytest.param(b"[" * 100_000, "recursion", 0, id="deep"),
        (b"", "Expecting value", 0),
    ],
)
def test_get_json_takes_JSON_alone(kv: Namespace, text: bytes, why: str, at: int) -> None:
    kv["key"] = text
    with pytest.raises(json.JSONDecodeError, match=why) as caught:
        kv.get_json("key")
    assert caught.value.pos == at and kv["key"] == text


def test_metadata_that_another_program_wrote_and_is_not_JSON(tmp_path: pathlib.Path) -> None:
    luat_kv.open(tmp_path / "kv.db").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "kv.db")) as other:
        other.execute("INSERT INTO kv (namespace, key, value, metadata) VALUES ('test', 'key', 'v', 'NaN')")
        other.commit()
    with luat_kv.open(tmp_path / "kv.db") as store:
        kv = store.namespace("test")
        for call in (kv.list, lambda: kv.get_entry("key"), lambda: kv.get_entries(["key"])):
            with pytest.raises(luat_kv.CorruptError, match="the metadata of 'key' is not JSON: NaN is not JSON"):
                call()
        assert dict(kv) == {"key": b"v"} and kv.popitem() == ("key", b"v")


def test_pages(kv: Namespace) -> None:
    names = [f"{i:02}" for i in range(25)]
    for name in names:
        kv.put(name, name, metadata=name)
    for reverse in (False, True):
        seen, sizes, cursor = [], [], None
        while True:
            page = kv.list(limit=10, cursor=cursor, reverse=reverse)
            seen += [entry.key for entry in page]
            sizes.append(len(page))
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == sorted(names, reverse=reverse) and sizes == [10, 10, 5]
    with_values = kv.list(prefix="1", start="12", stop="15", values=True)
    assert [(entry.key, entry.value, entry.metadata) for entry in with_values] == [
        (name, name.encode(), name) for name in ("12", "13", "14")
    ]
    assert not hasattr(kv.list().entries[0], "value")
    assert [kv.count(), kv.count("1"), kv.count(b"x")] == [25, 10, 0]
    assert [kv.delete_prefix("1"), kv.delete_prefix("1"), kv.clear()] == [10, 0, 15]


def test_what_is_no_list(kv: Namespace) -> None:
    kv["a"] = b"1"
    for bad in (*TOO_BIG, 2**32):
        with pytest.raises(InvalidError, match="limit must be from"):
            kv.list(limit=bad)
    with pytest.raises(LimitError):
        kv.list(limit=10001)
    with pytest.raises(InvalidError):
        kv.list(cursor="nonsense")
    for empty in ("", b""):
        with pytest.raises(InvalidError, match="cursor is empty; leave it out"):
            kv.list(cursor=empty)  # type: ignore[arg-type]
        for walk in (kv.list, kv.keys, kv.values, kv.items, kv.entries):
            with pytest.raises(InvalidError, match="stop is empty; leave it out"):
                walk(stop=empty)
            assert len(list(walk(stop=None, start=empty, prefix=empty))) == 1
    wrongs = [("limit", True), ("limit", 1.0), ("limit", "1"), ("reverse", 1), ("values", "yes"), ("cursor", 5), ("prefix", None)]
    for name, wrong in wrongs:
        with pytest.raises(TypeError, match=name):
            kv.list(**{name: wrong})  # type: ignore[call-overload]
    for name in ("prefix", "start", "stop"):
        with pytest.raises(InvalidError):
            kv.list(**{name: b"\xff"})  # type: ignore[call-overload]
        with pytest.raises(LimitError):
            list(kv.keys(**{name: "x" * 5000}))  # type: ignore[arg-type]
    with pytest.raises(InvalidError):
        kv.delete_prefix("")
    with pytest.raises(TypeError):
        kv.get_many("abc")
    with pytest.raises(LimitError):
        kv.get_many(str(i) for i in range(10001))
    assert dict(kv) == {"a": b"1"}


def test_limits_of_cloudflare() -> None:
    kv = luat_kv.open_memory(limits="cloudflare").namespace("test")
    calls: list[Any] = [
        lambda: kv.put("k" * 513, b""),
        lambda: kv.put(".", b""),
        lambda: kv.put("k", b"", expiration_ttl=59),
        lambda: kv.put("k", bytes(26214401)),
        lambda: kv.put("k", b"", metadata="x" * 1024),
    ]
    for call in calls:
        with pytest.raises((LimitError, InvalidError)) as caught:
            call()
        assert caught.value.code in ("LIMIT", "INVALID")
    assert not kv
