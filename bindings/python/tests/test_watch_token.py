"""Tokens of watches: where a watch goes on from one, what a token covers, and what is refused."""

from __future__ import annotations

import asyncio
import pathlib
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from typing import Any, Callable, List

import pytest

import luat_kv
from luat_kv import Change, CorruptError, InvalidError, Namespace, Store, Watch, _entries, _watch


def told(changes: List[Change]) -> str:
    """Returns "+key" for a put, "-key" for a removal."""
    return " ".join("+-"[change.type == "delete"] + change.key for change in changes)


def since(kv: Namespace, token: str) -> str:
    """Returns what a watch tells that goes on from a token."""
    with kv.watch(since=token) as watch:
        return told(watch.next(0))


def put(kv: Namespace, *keys: str) -> None:
    for key in keys:
        kv[key] = b"1"


def test_a_watch_goes_on_from_a_token(kv: Namespace) -> None:
    put(kv, "a", "b", "c")
    watch = kv.watch()
    first = watch.token()
    assert since(kv, first) == ""
    del kv["a"]
    kv["b"] = b"2"
    put(kv, "d")
    assert since(kv, first) == "-a +b +d" and watch.token() == first
    later = kv.watch(since=first.encode(), values=True)
    assert [(change.key, change.value) for change in later.next(0)] == [("a", None), ("b", b"2"), ("d", b"1")]
    assert later.next(0) == [] and told(watch.next(0)) == "-a +b +d"
    assert watch.token() == later.token() and since(kv, watch.token()) == ""
    del kv["d"]
    assert (since(kv, watch.token()), since(kv, first)) == ("-d", "-a +b")
    for token in (None, "", b""):
        assert kv.watch(since=token).next(0) == []


def test_a_token_covers_what_was_returned_and_nothing_else(kv: Namespace) -> None:
    watch = kv.watch(timeout=0)
    put(kv, "a", "b", "c", "d")
    seen = []
    for change in watch:
        seen.append(since(kv, watch.token()))
        if change.key == "c":
            break
    assert seen == ["+b +c +d", "+c +d", "+d"]
    kv["b"] = b"2"
    assert since(kv, watch.token()) == "+b +d"
    assert told(watch.next(0)) == "+d" and since(kv, watch.token()) == "+b"
    assert told(watch.next(0)) == "+b" and since(kv, watch.token()) == ""
    put(kv, "a", "b")
    assert told([next(watch), *watch.next(0)]) == "+a +b" and since(kv, watch.token()) == ""
    assert list(watch) == [] and since(kv, watch.token()) == ""
    existing = kv.watch(existing=True)
    assert since(kv, existing.token()) == "+a +b +c +d"
    assert next(existing).key == "a" and since(kv, existing.token()) == "+b +c +d"


def test_a_token_outlives_its_process(tmp_path: pathlib.Path, child: Any) -> None:
    code = """
import luat_kv
with luat_kv.open("kv.db") as store, store.namespace("a").watch() as watch:
    store.namespace("a").update(a=b"1", b=b"1", c=b"1")
    assert next(watch).key == "a"
    print(watch.token(), end="")
"""
    done = child(code)
    assert done.returncode == 0, done.stderr
    with luat_kv.open(tmp_path / "kv.db") as store:
        store.namespace("a")["a"] = b"2"
        del store.namespace("a")["b"]
    with luat_kv.open(tmp_path / "kv.db") as store, store.namespace("a").watch(since=done.stdout) as watch:
        assert told(watch.next(0)) == "+a +c"


def test_a_token_of_other_keys(kv: Namespace) -> None:
    put(kv, "a:1", "a:2", "b:1")
    token = kv.watch(prefix="a:").token()
    del kv["a:2"]
    assert told(kv.watch(since=token).next(0)) == "-a:2 +b:1"
    assert told(kv.watch(["a:1", "a:2"], since=token).next(0)) == "-a:2"


def test_what_is_no_token(store: Store, kv: Namespace) -> None:
    watch: Any = kv.watch
    token = watch().token()
    for wrong in (5, 1.5, True, [token], kv):
        with pytest.raises(TypeError, match="since must be str or bytes, not"):
            watch(since=wrong)
    for garbled in ("x", token[1:], token[:-1], token + "A", token.swapcase(), "ä"):
        with pytest.raises(InvalidError, match="the token is malformed"):
            watch(since=garbled)
    for no_text in ("\ud800", b"\xff"):
        with pytest.raises(InvalidError):
            watch(since=no_text)
    with pytest.raises(InvalidError, match="a watch begins either with what exists or since a token"):
        watch(since=token, existing=True)
    with pytest.raises(InvalidError, match='the token comes from the namespace "test"'):
        store.namespace("other").watch(since=token)
    with luat_kv.open_memory() as other, pytest.raises(InvalidError, match="the token comes from another store"):
        other.namespace("test").watch(since=token)


def test_a_closed_watch_has_no_token(store: Store, kv: Namespace) -> None:
    with kv.watch() as closed, kv.watch() as watch:
        closed.close()
        with pytest.raises(InvalidError, match="the watch is closed"):
            closed.token()
        store.close()
        with pytest.raises(InvalidError, match="the store is closed"):
            watch.token()


def test_while_another_thread_waits_there_is_no_token(kv: Namespace) -> None:
    watch, answers = kv.watch(), []
    thread = threading.Thread(target=lambda: answers.append(watch.next()))
    thread.start()
    with pytest.raises(InvalidError, match="another thread or task waits with this watch"):
        while True:
            watch.token()
    put(kv, "key")
    thread.join()
    assert [told(changes) for changes in answers] == ["+key"] and since(kv, watch.token()) == ""


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop as on Windows."""

    def add_reader(self, *_: Any) -> None:  # type: ignore[override]
        raise NotImplementedError


@pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, WithoutReaders])
def test_while_a_task_waits_its_token_is_that_of_the_last_answer(
    kv: Namespace, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def main() -> None:
        watch, seen, tokens = kv.watch(), [], []

        async def follow() -> None:
            async for change in watch:
                seen.append(change.key)
                tokens.append(watch.token())

        task = asyncio.create_task(follow())
        await asyncio.sleep(0.02)  # most likely it waits now
        put(kv, "a", "b")
        while len(seen) < 2:
            assert since(kv, watch.token()) == " ".join(f"+{key}" for key in "ab" if key not in seen)
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert watch.token() == await asyncio.to_thread(watch.token) == tokens[1]
        assert since(kv, tokens[0]) == "+b" and since(kv, tokens[1]) == ""
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        put(kv, "c")
        assert since(kv, watch.token()) == "+c"
        watch.close()

    loop = make_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), 30))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_a_change_that_is_an_error_is_told_by_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "kv.db"
    with luat_kv.open(path) as store:
        put(store.namespace("a"), "a", "b", "c")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE kv SET metadata = '{' WHERE key <> 'b'")
    database.close()
    with luat_kv.open(path) as store:
        kv = store.namespace("a")
        watch = kv.watch(existing=True)
        for key in "ac":
            with pytest.raises(CorruptError, match=f"the metadata of '{key}' is not JSON"):
                watch.next(0)
            later = kv.watch(since=watch.token())  # "b" was not returned yet
            with pytest.raises(CorruptError, match="the metadata of 'c' is not JSON"):
                later.next(0)
            assert told(later.next(0)) == "+b"
        assert told(watch.next(0)) == "+b" and since(kv, watch.token()) == ""


def test_an_interrupted_call_has_handled_nothing(kv: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, convert = kv.watch(), _entries.change_of

    def interrupted(entry: Any, length: Any) -> Change:
        change = convert(entry, length)
        if change.key == "b":
            raise KeyboardInterrupt
        return change

    put(kv, "a", "b", "c")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(_watch, "change_of", interrupted)
        watch.next(0)
    assert since(kv, watch.token()) == "+a +b +c"
    assert next(watch).key == "a" and since(kv, watch.token()) == "+b +c"


def test_a_signal_handler_may_come_in_between(kv: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, read, answers = kv.watch(), Watch._pointer, []

    def handler(*_: object) -> None:
        answers.append(told(watch.next(0)))
        with pytest.raises(InvalidError, match="a signal's handler cannot call token"):
            watch.token()

    def interrupted(watch: Watch) -> Any:
        monkeypatch.setattr(Watch, "_pointer", read)
        signal.raise_signal(signal.SIGUSR1)
        return watch._pointer()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        put(kv, "key")
        monkeypatch.setattr(Watch, "_pointer", interrupted)
        token = watch.token()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert answers == ["+key"] and token == watch.token() and since(kv, token) == ""


WAITS = """
import signal, luat_kv
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may ignore it
with luat_kv.open("kv.db") as store, store.namespace("a").watch() as watch:
    store.namespace("a").update(a=b"1", b=b"1")
    try:
        for change in watch:
            print(change.key, flush=True)
    finally:
        print(watch.token(), flush=True)
"""


def test_ctrl_c_leaves_a_token(tmp_path: pathlib.Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None and [process.stdout.readline() for _ in range(2)] == ["a\n", "b\n"]
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    token = process.communicate(timeout=30)[0].strip()
    with luat_kv.open(tmp_path / "kv.db") as store:
        del store.namespace("a")["a"]
        assert since(store.namespace("a"), token) == "-a"
