"""Stores on a PostgreSQL server: forks of a process that has a connection. Runs where LUAT_KV_TEST_POSTGRES names one."""

from __future__ import annotations

import os
from typing import Any, Callable

import pytest

import luat_kv
from luat_kv import Namespace, Store

FORK = """
import os, sys, luat_kv
store = luat_kv.open(sys.argv[1])
kv = store.namespace("fork")
kv["n"] = b"0"
def use(name):
    for step in range(50):
        kv.incr("n")
        kv[f"{name}/{step}"] = b"1"
    return kv.add("once", name.encode())
for ending in ("exits", "closes", "leaves"):
    kv.delete("once")
    pid = os.fork()
    if pid == 0:
        use("child")
        if ending == "exits":
            sys.exit()
        if ending == "closes":
            store.close()
        os._exit(0)
    added = use("parent")
    assert os.waitpid(pid, 0)[1] == 0, ending
    assert kv["once"] == (b"parent" if added else b"child")
pid = os.fork()
if pid == 0:
    sys.exit()  # without any call
assert os.waitpid(pid, 0)[1] == 0
print(kv.incr("n"), kv.count("child/"), kv.count("parent/"))
"""

THREADS = """
import os, sys, threading, warnings, luat_kv
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of any fork in a process with threads
store = luat_kv.open(sys.argv[1])
kv = store.namespace("fork")
def work():
    for _ in range(300):
        kv.incr("n")
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        kv.incr("n")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
for thread in threads: thread.join()
print(kv["n"].decode())
"""


def test_parent_and_child_go_on_after_a_fork(store: Store, child: Any) -> None:
    done = child(FORK, store.stats().path)
    assert done.stdout == "301 50 50\n", done.stderr


def test_a_fork_amid_calls_of_other_threads(store: Store, child: Any) -> None:
    done = child(THREADS, store.stats().path)
    assert done.stdout == "620\n", done.stderr


def test_multiprocessing_with_forks(kv: Namespace, count_in_forks: Callable[[Namespace], None]) -> None:
    count_in_forks(kv)


def test_the_label_is_the_url(store: Store) -> None:
    assert store.stats().path.startswith("postgresql://postgres@")


def test_what_makes_no_sense_with_it_is_an_error(store: Store) -> None:
    with pytest.raises(luat_kv.InvalidError, match="durability"):
        luat_kv.open(os.environ["LUAT_KV_TEST_POSTGRES"], durability="full")
