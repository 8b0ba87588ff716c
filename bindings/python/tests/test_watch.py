"""Watches: what they report, how threads wait with them, and how they end."""

from __future__ import annotations

import contextlib
import copy
import pathlib
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from typing import Any, List, NoReturn

import pytest

import luat_kv
from luat_kv import Change, CorruptError, InvalidError, LimitError, Namespace, Store, Watch, _entries, _watch
from luat_kv._arguments import Key


def told(changes: List[Change]) -> str:
    """Returns "+key" for a put, "-key" for a removal, "!key" for an expiry."""
    return " ".join(("!" if c.expired else "+-"[c.type == "delete"]) + c.key for c in changes)


def test_each_write_is_reported_once_with_what_the_key_holds(kv: Namespace) -> None:
    kv["before"] = b"1"
    watch = kv.watch(values=True)
    assert watch.next(0) == []
    version = kv.put("key", b"v\0alue", metadata={"a": [1]}, expiration_ttl=1000)
    entry = kv.get_entry("key")
    assert entry is not None
    assert watch.next() == [Change("key", "put", b"v\0alue", {"a": [1]}, entry.expiration, version, False)]
    assert watch.next(0) == []
    kv["key"] = b""
    assert [change._replace(version=None) for change in watch.next(1)] == [
        Change("key", "put", b"", None, None, None, False)
    ]
    kv.incr("count")
    kv.touch("key", expiration_ttl=10)
    assert kv.pop("before") == b"1"
    assert told(watch.next(0)) == "-before +count +key"
    kv.clear()
    assert watch.next(0) == [Change(key, "delete", None, None, None, None, False) for key in ("count", "key")]


def test_what_is_not_watched_is_not_reported(store: Store, kv: Namespace) -> None:
    mixed: List[Key] = ["b", b"missing", "ä", "b"]
    by_keys, by_prefix = kv.watch(iter(mixed)), kv.watch(prefix="user:")
    for key in ("a", "aa", "b", "user", "user:1", "user;", "ä"):
        kv[key] = b"1"
    store.namespace("other")["user:3"] = b"1"
    assert told(by_keys.next(0)) == "+b +ä" and told(by_prefix.next(0)) == "+user:1"
    del kv["user:1"]
    kv["missing"] = b"1"
    assert [change.value for change in by_keys.next(0)] == [None] and told(by_prefix.next(0)) == "-user:1"


def test_a_watch_can_begin_with_what_is_there(kv: Namespace) -> None:
    kv.update(a=b"1", b=b"2")
    watch, by_keys = kv.watch(existing=True, values=True), kv.watch(["a", "b", "c"], existing=True)
    del kv["a"]
    kv["c"] = b"3"
    assert [(c.key, c.type, c.value) for c in watch.next(0)] == [("b", "put", b"2"), ("c", "put", b"3")]
    assert told(by_keys.next(0)) == "+b +c"
    assert watch.next(0) == by_keys.next(0) == []
    del kv["c"]
    assert told(watch.next(0)) == told(by_keys.next(0)) == "-c"


def test_changes_between_two_calls_become_one(kv: Namespace) -> None:
    watch = kv.watch(values=True)
    for number in range(100):
        kv["key"] = str(number)
    kv["short"] = b""
    del kv["short"]
    assert [(change.key, change.value) for change in watch.next(0)] == [("key", b"99")]


def test_an_expiry_is_told_from_a_removal(kv: Namespace) -> None:
    kv.put("soon", b"1", expiration_ttl=1)
    kv.put("deleted", b"1", expiration_ttl=1)
    watch = kv.watch()
    del kv["deleted"]
    assert told(watch.next(0)) == "-deleted"
    time.sleep(2.1)
    kv["other"] = b"1"
    assert watch.next(0)[1] == Change("soon", "delete", None, None, None, None, True)


def test_a_loop_ends_with_the_timeout_and_another_one_goes_on(kv: Namespace) -> None:
    with kv.watch(timeout=0.02) as watch:
        assert list(watch) == []
        begun = time.monotonic()
        assert list(watch) == [] and time.monotonic() - begun >= 0.02
        for key in "abc":
            kv[key] = b"1"
        for change in watch:
            kv["d"] = b"1"
            assert change.key == "a"
            break
        assert next(watch).key == "b"
        assert told(watch.next(0)) == "+c", "what the loop has not returned, and nothing else"
        assert told(list(watch)) == "+d"
        assert next(watch, None) is None


def test_what_one_batch_has_changed_comes_together(store: Store, kv: Namespace) -> None:
    over = threading.Event()

    def write() -> None:
        for number in range(500):
            store.batch().put("a", str(number), namespace=kv).put("b", str(number), namespace=kv).commit()
        over.set()

    watch, last = kv.watch(values=True), b""
    writer = threading.Thread(target=write)
    writer.start()
    while True:
        was_over = over.is_set()
        changes = watch.next(0)
        if changes:
            a, b = changes
            assert a.value == b.value and a.version == b.version and a.value
            last = a.value
        elif was_over:
            break
    writer.join()
    assert last == b"499"


def test_values_of_more_than_a_page_come_with_the_next_call(kv: Namespace) -> None:
    watch = kv.watch(values=True)
    for key in "abc":
        kv[key] = b"x" * (9 << 20)
    assert [told(watch.next(0)) for _ in range(3)] == ["+a +b", "+c", ""]


def test_a_thread_waits_while_another_one_writes(kv: Namespace) -> None:
    watch, seen = kv.watch(["key"], values=True), []

    def follow() -> None:
        for change in watch:
            seen.append(change.value)
            if change.value == b"end":
                return

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(20):
        kv["other"] = kv["key"] = str(number)
        time.sleep(0.001)
    kv["key"] = b"end"
    thread.join()
    numbers = [int(value) for value in seen[:-1] if value is not None]
    assert numbers == sorted(set(numbers)) and seen[-1] == b"end"


def test_writes_of_another_process_are_seen(tmp_path: pathlib.Path, child: Any) -> None:
    with luat_kv.open(tmp_path / "kv.db") as store, store.namespace("a").watch(values=True) as watch:
        done = child("import luat_kv; luat_kv.open('kv.db').namespace('a').put('key', b'value')")
        assert done.returncode == 0, done.stderr
        assert [(change.key, change.value) for change in watch.next(30)] == [("key", b"value")]
        # While this process waits.
        code = "import luat_kv, time; time.sleep(0.2); luat_kv.open('kv.db').namespace('a').delete('key')"
        writer = threading.Thread(target=child, args=(code,))
        writer.start()
        assert told(watch.next(30)) == "-key"
        writer.join()


def test_metadata_that_is_not_json_is_an_error_once(tmp_path: pathlib.Path) -> None:
    with luat_kv.open(tmp_path / "kv.db") as store:
        kv = store.namespace("a")
        for key in "abc":
            kv[key] = b"1"
    with sqlite3.connect(tmp_path / "kv.db") as database:
        database.execute("CREATE TABLE kept AS SELECT * FROM kv")
        database.execute("UPDATE kept SET metadata = '{' WHERE key = 'b'")
        database.execute("DELETE FROM kv")
    database.close()
    copies = "import sqlite3; sqlite3.connect('kv.db').executescript('INSERT INTO kv SELECT * FROM kept')"
    with luat_kv.open(tmp_path / "kv.db") as store:
        kv = store.namespace("a")
        watch = kv.watch()
        subprocess.run([sys.executable, "-c", copies], cwd=tmp_path, check=True)
        with pytest.raises(CorruptError, match="the metadata of 'b' is not JSON"):
            watch.next(30)
        assert told(watch.next(0)) == "+a +c" and watch.next(0) == []
        kv["b"] = b"2"
        assert told(watch.next(0)) == "+b"


def test_what_is_no_watch(kv: Namespace, tmp_path: pathlib.Path) -> None:
    watch: Any = kv.watch
    for keys in ("key", b"key"):
        with pytest.raises(TypeError, match=r"watch\(\) takes keys, not one key"):
            watch(keys)
    wrong: List[Any] = [
        lambda: watch(5),
        lambda: watch([5]),
        lambda: watch(prefix=5),
        lambda: watch(prefix=None),
        lambda: watch(values=1),
        lambda: watch(existing=1),
        lambda: watch(existing=None),
        lambda: watch(["a"], "b"),
        lambda: watch(key="a"),
    ]
    for call in wrong:
        with pytest.raises(TypeError):
            call()
    for no_keys in ([""], ["a", "\ud800"], [b"\xff"], []):
        with pytest.raises(InvalidError):
            watch(no_keys)
    with pytest.raises(InvalidError, match="a watch has either keys or a prefix"):
        watch(["a"], prefix="b")
    with pytest.raises(LimitError, match="1001 keys"):
        watch(map(str, range(1001)))
    with pytest.raises(LimitError):
        watch(prefix="x" * 5000)
    calls: List[Any] = [lambda timeout: watch(timeout=timeout), watch(map(str, range(1000))).next]
    for call in calls:
        for no_time in (-1, -0.001, float("nan"), float("inf"), 2**32, 10**5000):
            with pytest.raises(InvalidError, match="timeout must be from 0 to"):
                call(no_time)
        for no_number in ("1", True, [1], 1j):
            with pytest.raises(TypeError, match="timeout must be a number of seconds, not"):
                call(no_number)
    for copies in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied"):
            copies(watch())


def test_the_end_of_a_watch(store: Store, kv: Namespace) -> None:
    with kv.watch() as watch:
        assert repr(watch) == "<luat_kv.Watch of <luat_kv.Namespace 'test'>>"
    watch.close()
    assert repr(watch) == "<luat_kv.Watch of <luat_kv.Namespace 'test'>, closed>"
    with kv.watch() as other:
        kv["key"] = b"1"
        calls: List[Any] = [lambda w: w.next(0), lambda w: next(w), Watch.fileno, Watch.token, Watch.__enter__]
        for call in calls:
            with pytest.raises(InvalidError, match="the watch is closed"):
                call(watch)
        assert told(other.next(0)) == "+key"
        store.close()
        for call in calls:
            for which in (other, watch):
                with pytest.raises(InvalidError, match="the store is closed"):
                    call(which)
        with pytest.raises(InvalidError, match="the store is closed"):
            kv.watch()


@pytest.mark.parametrize("what", ["watch", "store"])
def test_a_thread_that_waits_is_told_of_the_end(store: Store, kv: Namespace, what: str) -> None:
    watch, ends = kv.watch(), []

    def wait() -> None:
        with pytest.raises(InvalidError) as caught:
            watch.next()
        ends.append(str(caught.value))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.02)  # most likely it waits now
    (store if what == "store" else watch).close()
    thread.join()
    assert ends == [f"the {what} is closed"]


def test_two_threads_cannot_wait_with_one_watch(kv: Namespace) -> None:
    watch, answers = kv.watch(), []
    thread = threading.Thread(target=lambda: answers.append(watch.next()))
    thread.start()
    with pytest.raises(InvalidError, match="another thread or task waits with this watch"):
        while True:
            assert watch.next(0) == []
    kv["key"] = b"1"
    thread.join()
    assert [told(changes) for changes in answers] == ["+key"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a descriptor")
def test_a_descriptor_becomes_readable_with_a_change(kv: Namespace) -> None:
    with kv.watch() as watch:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        assert watch.fileno() == watch.fileno()
        for number in range(20):
            watch.next(0)
            kv[str(number)] = b"1"
            assert poll.poll(10_000) and told(watch.next(0)) == f"+{number}"
    with kv.watch(values=True) as watch:
        assert watch.fileno() and watch.next(0) == []
        kv["large"], kv["larger"] = b"x" * (17 << 20), b"x"
        poll.register(watch, select.POLLIN)
        seen: List[Change] = []
        while len(seen) < 2:
            assert poll.poll(10_000)
            seen += watch.next(0)
        assert told(seen) == "+large +larger"


FORK = """
import luat_kv, os, sys, threading, time
store = luat_kv.open("kv.db") if sys.argv[1] == "file" else luat_kv.open_memory()
kv = store.namespace("a")
watch, waiting, buffered = kv.watch(), kv.watch(["other"]), kv.watch()
watch.fileno()
threading.Thread(target=waiting.next).start()
kv["a"] = kv["b"] = b"1"
assert next(buffered).key == "a"
pid = os.fork()
if pid == 0:
    for parents in (watch, waiting, buffered):
        for call in (lambda: parents.next(0), lambda: next(parents), parents.fileno, parents.token):
            try:
                call()
            except luat_kv.InvalidError as error:
                assert "before a fork" in str(error), error
            else:
                os._exit(1)
        parents.close()
    with kv.watch() as own:
        kv["child"] = b"1"
        assert [change.key for change in own.next(10)] == ["child"]
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
print([change.key for change in watch.next(10)], [change.key for change in buffered.next(10)])
kv["other"] = b"1"
"""


@pytest.mark.parametrize(("kind", "seen"), [("file", "['a', 'b', 'child'] ['b']"), ("memory", "['a', 'b'] ['b']")])
def test_a_forked_child_opens_its_own(child: Any, kind: str, seen: str) -> None:
    # Newer Pythons warn of any fork in a process with threads.
    done = child("import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORK, kind)
    assert (done.returncode, done.stdout) == (0, seen + "\n"), done.stderr


WAITS = """
import signal, luat_kv
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may ignore it
with luat_kv.open("kv.db") as store, store.namespace("a").watch() as watch:
    try:
        print("waits", flush=True)
        {wait}
    except KeyboardInterrupt:
        store.namespace("a")["key"] = b"1"
        print([change.key for change in watch.next(10)])
"""


@pytest.mark.parametrize("wait", ["watch.next()", "for change in watch: pass"])
def test_ctrl_c_ends_the_wait(tmp_path: pathlib.Path, wait: str) -> None:
    code = WAITS.format(wait=wait)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "waits\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "['key']\n"


def test_an_exception_of_a_signal_handler_loses_no_change(kv: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, convert = kv.watch(), _entries.change_of

    def interrupted(entry: Any, length: Any) -> Change:
        change = convert(entry, length)
        if change.key == "b":
            monkeypatch.setattr(_watch, "change_of", convert)
            signal.raise_signal(signal.SIGINT)
        return change

    kv["a"] = kv["b"] = kv["c"] = b"1"
    monkeypatch.setattr(_watch, "change_of", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            watch.next(0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert told(watch.next(0)) == "+a +b +c" and watch.next(0) == []


def test_a_watch_is_of_use_after_any_interruption(kv: Namespace) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise InterruptedError

    watch, before = kv.watch(), signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(300):
            with contextlib.suppress(InterruptedError):
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + number))
                for _ in range(100_000):
                    kv["key"] = b"1"
                    watch.next(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    while watch.next(0):  # first what an interrupted call has kept
        pass
    kv["last"] = b"1"
    assert told(watch.next(0)) == "+last"
