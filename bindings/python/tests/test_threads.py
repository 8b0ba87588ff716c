"""Threads, forks and several processes on one file."""

from __future__ import annotations

import os
import pathlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import pytest

import luat_kv
from luat_kv import InvalidError, Namespace, Store


def test_threads_count_together(kv: Namespace) -> None:
    values = [bytes([i]) * (i * 1000 + 1) for i in range(100)]  # smaller and larger than the buffer of a get

    def work(seed: int) -> int:
        dice = random.Random(seed)
        for _ in range(300):
            kv.incr("n")
            i = dice.randrange(100)
            kv[f"k{i}"] = values[i]
            j = dice.randrange(100)
            assert kv.get(f"k{j}", values[j]) == values[j], "a value is of one write, not of another thread's call"
        return kv.incr(f"own{seed}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [1] * 8
    assert kv["n"] == b"2400"


def test_a_value_that_another_thread_makes_longer_or_shorter_is_read_whole(kv: Namespace) -> None:
    values = [b"a" * 65_537, b"b" * 300_000, b"c" * 70_000, b"d"]
    kv["key"] = values[0]
    done = threading.Event()

    def write() -> None:
        for i in range(400):
            kv["key"] = values[i % 4]
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert kv["key"] in values
    writer.join()


def test_threads_that_check_lose_no_change(kv: Namespace) -> None:
    kv["n"] = b"0"

    def work(_: int) -> None:
        for _ in range(25):
            while True:
                entry = kv.get_entry("n")
                assert entry is not None
                if kv.batch().check("n", entry.version).put("n", str(int(entry.value) + 1)).commit():
                    break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert kv["n"] == b"100"


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_store_is_closed_while_others_are_in_calls(tmp_path: pathlib.Path, kind: str) -> None:
    for round_ in range(20):
        store = luat_kv.open(tmp_path / "kv.db") if kind == "file" else luat_kv.open_memory()
        kv = store.namespace("a")
        kv["key"] = b"x" * 100_000
        started, ended = threading.Barrier(5), []

        def work(kv: Namespace = kv, store: Store = store, started: threading.Barrier = started) -> None:
            started.wait()
            try:
                while True:
                    assert kv["key"] == b"x" * 100_000
                    kv.put("key", b"x" * 100_000, metadata=1)
                    assert len(list(kv.items())) == 1
                    with store.batch() as batch:
                        batch.put("key", b"x" * 100_000, namespace=kv)
                    store.namespace("other").get("key")
            except InvalidError as error:
                assert str(error) == "the store is closed"
                ended.append(True)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.wait()
        threading.Event().wait(0.002 * (round_ % 5))
        store.close()
        for thread in threads:
            thread.join()
        assert ended == [True] * 4


def test_another_thread_runs_while_a_call_waits(tmp_path: pathlib.Path, child: Any) -> None:
    code = """
import luat_kv, os, threading, time
reader, writer = os.pipe()
kv = luat_kv.open_memory().namespace("a")
thread = threading.Thread(target=kv.import_, args=(reader,))
thread.start()
time.sleep(0.1)           # by now the call waits for the pipe
os.write(writer, b'{"key":"a","value":"1"}')
os.close(writer)
thread.join()
os.close(reader)
print(dict(kv))
"""
    done = child(code)
    assert done.stdout == "{'a': b'1'}\n", done.stderr


def test_processes_share_a_file(tmp_path: pathlib.Path, child: Any) -> None:
    code = """
import luat_kv, sys
with luat_kv.open("kv.db") as store:
    kv = store.namespace("a")
    for _ in range(200):
        kv.incr("n")
    print(kv.setdefault("first", sys.argv[1]) in (b"0", b"1", b"2"))
"""
    with luat_kv.open(tmp_path / "kv.db") as store, ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(child, code, str(i)) for i in range(3)]
        for _ in range(200):
            store.namespace("a").incr("n")
        assert [run.result().stdout for run in runs] == ["True\n"] * 3
        assert store.namespace("a")["n"] == b"800"


FORK = """
import luat_kv, os, sys, threading
store = luat_kv.open("kv.db") if sys.argv[1] == "file" else luat_kv.open_memory()
kv = store.namespace("a")
kv["key"] = b"parent"
stop = threading.Event()
def work():
    while not stop.is_set():
        kv.incr("busy")
        kv.get("key")
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for i in range(20):
    pid = os.fork()
    if pid == 0:
        assert kv["key"] == b"parent"
        kv[f"child{i}"] = b"1"
        assert store.namespace("a")[f"child{i}"] == b"1"
        assert kv.batch().delete("nothing").commit()
        store.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads: thread.join()
print(kv.count("child"), kv["key"].decode())
"""


@pytest.mark.parametrize(("kind", "seen"), [("file", 20), ("memory", 0)])
def test_parent_and_child_go_on_after_a_fork(child: Any, kind: str, seen: int) -> None:
    # Newer Pythons warn of any fork in a process with threads.
    done = child("import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORK, kind)
    assert done.stdout == f"{seen} parent\n", done.stderr


def test_multiprocessing_with_forks(tmp_path: pathlib.Path, count_in_forks: Callable[[Namespace], None]) -> None:
    with luat_kv.open(tmp_path / "kv.db") as store:
        count_in_forks(store.namespace("a"))
    assert os.listdir(tmp_path) == ["kv.db"]
