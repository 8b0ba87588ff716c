"""A Namespace as a mapping."""

from __future__ import annotations

import array
import collections.abc
import itertools
import mmap
import os
from typing import Any

import pytest

from luat_kv import InvalidError, Namespace, Store, _base
from luat_kv._entries import page_of

ALL_BYTES = bytes(range(256))
# On a server a key shares a limit with its namespace.
LONGEST = 2600 - len("test") if "LUAT_KV_TEST_POSTGRES" in os.environ else 4096


@pytest.mark.parametrize("value", [b"", ALL_BYTES, b"\0", b"x" * 65536, b"y" * 65537, ALL_BYTES * 4096])
def test_values_are_any_bytes(kv: Namespace, value: bytes) -> None:
    kv["key"] = value
    assert kv["key"] == value
    assert kv.get("key") == value
    assert kv.get_many(["key"]) == {"key": value}
    assert list(kv.items()) == [("key", value)]
    entry = kv.get_entry("key")
    assert entry is not None and entry.value == value


@pytest.mark.parametrize("key", ["a", "nul\0in it", "\0", "ключ", "😀", "a/b%_\\ ", "k" * LONGEST])
def test_keys_are_text_and_their_utf8_is_the_same_key(kv: Namespace, key: str) -> None:
    kv[key] = b"1"
    assert kv[key.encode()] == b"1"
    assert key in kv and key.encode() in kv
    assert list(kv) == [key]


@pytest.mark.parametrize(
    "value",
    [
        ALL_BYTES,
        bytearray(ALL_BYTES),
        memoryview(ALL_BYTES),
        memoryview(b"-" + ALL_BYTES + b"-")[1:-1],
        array.array("Q", ALL_BYTES),
        memoryview(array.array("Q", ALL_BYTES)),
    ],
)
def test_a_value_may_be_any_buffer(kv: Namespace, value: Any) -> None:
    kv["put"] = value
    assert kv.add("add", value)
    assert kv.setdefault("default", value) == ALL_BYTES
    kv.batch().put("batch", value).commit()
    assert set(kv.values()) == {ALL_BYTES} and len(kv) == 4


def test_a_mapped_file_and_empty_buffers_are_values(kv: Namespace) -> None:
    with mmap.mmap(-1, 4096) as mapped:
        mapped[:3] = b"abc"
        kv["mapped"] = mapped
        assert kv["mapped"][:4] == b"abc\0"
    for empty in ("", b"", bytearray(), memoryview(b"")):
        kv["empty"] = empty
        assert kv["empty"] == b""


def test_a_str_is_stored_as_utf8(kv: Namespace) -> None:
    kv["key"] = "häß😀"
    assert kv["key"].decode() == "häß😀"
    with pytest.raises(UnicodeEncodeError):
        kv["key"] = "\ud800"
    assert kv["key"].decode() == "häß😀"


def test_a_buffer_is_let_go_of_after_the_call(kv: Namespace) -> None:
    value = bytearray(b"abc")
    kv["key"] = value
    value.extend(b"def")  # a BufferError while a view of it exists
    assert kv["key"] == b"abc"


@pytest.mark.parametrize("value", [None, 1, 1.0, True, ["a"], {"a": 1}, object(), memoryview(ALL_BYTES)[::2]])
def test_what_is_no_value_is_a_TypeError(kv: Namespace, value: Any) -> None:
    kv["key"] = b"old"
    for put in (kv.put, kv.add, kv.__setitem__, kv.batch().put):
        with pytest.raises((TypeError, BufferError, ValueError)):
            put("key", value)
    assert kv["key"] == b"old"


@pytest.mark.parametrize("key", [None, 1, 1.5, bytearray(b"a"), ("a",)])
def test_what_is_no_key_is_a_TypeError(kv: Namespace, key: Any) -> None:
    calls = (kv.__contains__, kv.get, kv.__getitem__, kv.__delitem__, kv.delete, kv.pop, kv.take, kv.incr, kv.touch)
    for call in calls:
        with pytest.raises(TypeError, match="a key must be str or bytes, not"):
            call(key)


@pytest.mark.parametrize("key", ["", b"", b"\xff", b"\xed\xa0\x80", "\ud800", "a\udfff"])
def test_a_key_that_is_empty_or_no_utf8_is_an_error(kv: Namespace, key: str | bytes) -> None:
    for call in (kv.get, kv.get_entry, kv.__contains__, kv.delete, kv.pop, kv.take, kv.touch, kv.__delitem__):
        with pytest.raises(InvalidError):
            call(key)
    with pytest.raises(InvalidError):
        kv[key] = b"1"
    with pytest.raises(InvalidError):
        kv.get_many(["a", key])


def test_a_missing_key(kv: Namespace) -> None:
    default = object()
    with pytest.raises(KeyError, match="'no'"):
        kv["no"]
    with pytest.raises(KeyError, match="'no'"):
        del kv["no"]
    with pytest.raises(KeyError):
        kv.pop("no")
    with pytest.raises(KeyError):
        kv.popitem()
    kv.delete("no")
    assert "no" not in kv
    assert kv.get("no") is None and kv.get("no", default) is default
    assert kv.pop("no", None) is None and kv.pop("no", default) is default
    assert kv.get_entry("no") is None and kv.get_json("no", 7) == 7
    assert kv.get_many(["no", b"neither"]) == {} == kv.get_many([])
    assert kv.get_entries(["no"]) == {} == kv.get_entries(iter(()))
    assert not kv.touch("no")


def test_it_is_a_mutable_mapping(kv: Namespace) -> None:
    assert isinstance(kv, collections.abc.MutableMapping)
    assert not kv and len(kv) == 0
    kv.update({"b": b"2", "a": b"1"}, c=b"3")
    assert kv and len(kv) == 3
    assert kv == {"a": b"1", "b": b"2", "c": b"3"} == dict(kv)
    assert kv.setdefault("a", b"9") == b"1" and kv.setdefault("d", "4") == b"4"
    assert kv.pop("d") == b"4" and kv.pop(b"c", b"") == b"3"
    assert kv.popitem() == ("a", b"1")
    del kv["b"]
    assert not kv and list(kv) == []
    kv["a"] = b"1"
    assert kv.clear() == 1 and len(kv) == 0


def test_views(kv: Namespace) -> None:
    names = ["a", "b:1", "b:2", "b:3", "c"]
    for name in names:
        kv[name] = name.upper()
    assert list(kv) == list(kv.keys()) == names and list(reversed(kv)) == names[::-1]
    assert list(kv.values()) == [name.upper().encode() for name in names]
    assert dict(kv.items(prefix="b:")) == {name: name.upper().encode() for name in names[1:4]}
    assert list(kv.keys(start="b:2", stop="c")) == ["b:2", "b:3"] == list(kv.keys(start=b"b:2", stop=b"c"))
    assert list(kv.keys(start="b:2", stop="c", reverse=True)) == ["b:3", "b:2"]
    assert list(reversed(kv.items(prefix="b:"))) == [("b:3", b"B:3"), ("b:2", b"B:2"), ("b:1", b"B:1")]
    assert [len(kv.keys()), len(kv.items(prefix="b:")), len(kv.values(start="b:2"))] == [5, 3, 3]
    assert "b:1" in kv.keys(prefix="b") and "a" not in kv.keys(prefix="b") and "a" not in kv.keys(start="b")
    assert "c" not in kv.keys(stop="c") and "x" not in kv.keys()
    assert ("a", b"A") in kv.items() and ("a", b"B") not in kv.items()
    none: Any = None
    assert ("missing", none) not in kv.items()
    stranger: object
    for stranger in (5, "a", ("a",), (5, b"A")):
        assert not kv.items().__contains__(stranger)
    assert not kv.keys().__contains__(5)
    assert b"A" in kv.values() and b"A" not in kv.values(prefix="b")
    assert kv.keys() & {"a", "x"} == {"a"} and kv.keys() - {"a", "c"} == {"b:1", "b:2", "b:3"}
    assert "Namespace 'test'" in repr(kv.keys())


def test_iteration_goes_in_byte_order_over_all_pages(kv: Namespace) -> None:
    names = [f"{i:05}" for i in range(2500)] + ["\uffff", "\U00010000"]
    with kv.batch() as batch:
        for name in reversed(names):
            batch.put(name, name)
    assert list(kv) == names == [key for key, _ in kv.items()]
    assert list(reversed(kv)) == names[::-1]
    # The iteration is lazy: it returns keys that are put after the page that was read.
    keys = iter(kv)
    first = list(itertools.islice(keys, 10))
    kv["zzz"] = b""
    kv.delete("00001")
    assert first + list(keys) == sorted([*names, "zzz"], key=str.encode)


def test_the_first_keys_cost_little(kv: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{i:05}" for i in range(5000)]
    with kv.batch() as batch:
        for name in names:
            batch.put(name, name)
    read: list[int] = []  # the number of keys that each call of the library's list has returned

    def counted(*arguments: Any) -> Any:
        page = page_of(*arguments)
        read.append(len(page))
        return page

    monkeypatch.setattr(_base, "page_of", counted)
    assert next(iter(kv)) == "00000" and next(iter(kv.items())) == ("00000", b"00000")
    assert next(kv.entries(reverse=True)).key == "04999" and kv
    assert sum(read) <= 20
    del read[:]
    assert kv.popitem() == ("00000", b"00000") and kv.popitem() == ("00001", b"00001")
    assert read == [1, 1]
    del read[:]
    assert list(kv) == names[2:]
    assert len(read) <= 10 and max(read) == 1000, "a long walk is one of large pages"


def test_namespaces_are_apart(store: Store) -> None:
    one, other = store.namespace("one"), store.namespace(b"other")
    one["a"] = b"1"
    assert "a" not in other and store.namespaces() == ["one"]
    assert (one.name, other.name) == ("one", "other") and repr(other) == "<luat_kv.Namespace 'other'>"
    assert store.namespace("one")["a"] == b"1"
