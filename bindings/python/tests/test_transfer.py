"""Exports and imports."""

from __future__ import annotations

import errno
import io
import json
import os
import pathlib
import threading

import pytest

import luat_kv
from luat_kv import InvalidError, IoError, Namespace, Store

ENTRIES = {"a": b"1", "b\0": bytes(range(256)), "c": b""}


@pytest.fixture
def full(kv: Namespace) -> Namespace:
    kv.update(ENTRIES)
    kv.put("d", b"4", metadata={"m": 1}, expiration=4_000_000_000)
    return kv


def test_there_and_back_by_path(full: Namespace, store: Store, tmp_path: pathlib.Path) -> None:
    assert full.export(tmp_path / "kv.json") == 4
    assert [entry["key"] for entry in json.loads((tmp_path / "kv.json").read_text())] == ["a", "b\0", "c", "d"]
    assert full.export(str(tmp_path / "kv.jsonl"), format="jsonl") == 4
    assert len((tmp_path / "kv.jsonl").read_text().splitlines()) == 4
    for i, name in enumerate(("kv.json", "kv.jsonl")):
        kv = store.namespace(f"back{i}")
        assert kv.import_(tmp_path / name) == (4, 0)
        assert dict(kv) == dict(full)
        entry = kv.get_entry("d")
        assert entry is not None and (entry.metadata, entry.expiration) == ({"m": 1}, 4_000_000_000)
        kv["a"] = b"mine"
        done = kv.import_(tmp_path / name)
        assert (done.stored, done.skipped, kv["a"]) == (0, 4, b"mine")
        assert kv.import_(os.fsencode(tmp_path / name), replace=True) == (4, 0) and kv["a"] == b"1"


def test_there_and_back_by_file(full: Namespace, store: Store, tmp_path: pathlib.Path) -> None:
    with open(tmp_path / "out", "w+b") as file:
        file.write(b"head\n")
        assert full.export(file, format="jsonl") == 4
        file.seek(0)
        assert file.readline() == b"head\n"  # and has read ahead
        assert store.namespace("back").import_(file) == (4, 0)
        assert file.read() == b""
    assert dict(store.namespace("back")) == dict(full)


def test_through_a_pipe(full: Namespace, store: Store) -> None:
    reader, writer = os.pipe()
    got: list[bytes] = []

    def drain() -> None:
        with open(reader, "rb") as pipe:
            got.append(pipe.read())

    thread = threading.Thread(target=drain)
    thread.start()
    assert full.export(writer) == 4
    os.close(writer)
    thread.join()
    reader2, writer = os.pipe()
    os.write(writer, got[0])
    os.close(writer)
    with open(reader2, "rb") as pipe:
        assert store.namespace("back").import_(pipe) == (4, 0)
    assert dict(store.namespace("back")) == dict(full)


def test_what_cannot_be_read_or_written(full: Namespace, tmp_path: pathlib.Path) -> None:
    before = dict(full)
    (tmp_path / "bad").write_text('{"key":"x","value":"1"}\n{"key":')
    with pytest.raises(InvalidError, match="line 2"):
        full.import_(tmp_path / "bad", replace=True)
    with pytest.raises(IoError):
        full.import_(tmp_path / "missing")
    with pytest.raises(IoError):
        full.export(tmp_path / "missing" / "file")
    with pytest.raises(InvalidError, match="format must be 'json' or 'jsonl'"):
        full.export(tmp_path / "file", format="xml")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="binary"), open(tmp_path / "text", "w") as text:
        full.export(text)  # type: ignore[arg-type]
    with pytest.raises(io.UnsupportedOperation):
        full.export(io.BytesIO())
    for wrong in (None, 1.5, ["a"]):
        with pytest.raises(TypeError):
            full.export(wrong)  # type: ignore[arg-type]
    for fd in (-1, 2**31, 10**30):
        with pytest.raises(InvalidError, match="a descriptor"):
            full.import_(fd)
    for flag in (True, False):
        with pytest.raises(TypeError, match="a descriptor must be an int, not bool"):
            full.import_(flag)
    with pytest.raises((IoError, InvalidError)):
        full.import_(12345)
    with pytest.raises(TypeError, match="replace"):
        full.import_(tmp_path / "bad", replace=1)  # type: ignore[arg-type]
    assert dict(full) == before and not (tmp_path / "file").exists()


def test_an_IoError_has_the_number_of_the_systems_error(full: Namespace, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "(os error 1)"
    with pytest.raises(IoError) as missing:
        full.export(folder / "kv.json")
    assert missing.value.errno == errno.ENOENT and str(missing.value).startswith("exporting to ")
    with open("/dev/full", "wb") as device, pytest.raises(IoError) as no_space:
        full.export(device)
    assert no_space.value.errno == errno.ENOSPC
    with pytest.raises(OSError) as not_a_file:
        luat_kv.open("/dev/full")
    assert not_a_file.value.errno is None and not_a_file.value.strerror is None
