"""Stores on a PostgreSQL server: forks of a process that has a connection. Runs where LUAT_KV_TEST_POSTGRES names one."""

from __future__ import annotations

import os
from typing import Any

import pytest

import luat_kv
from luat_kv import Store

FORK = """
import os, sys, luat_kv
store = luat_kv.open(sys.argv[1])
kv = store.namespace("fork")
kv["n"] = b"0"
for ending in ("exits", "closes", "leaves"):
    pid = os.fork()
    if pid == 0:
        kv.incr("n")
        if ending == "exits":
            sys.exit()
        if ending == "closes":
            store.close()
        os._exit(0)
    kv.incr("n")
    assert os.waitpid(pid, 0)[1] == 0, ending
pid = os.fork()
if pid == 0:
    sys.exit()  # without any call
assert os.waitpid(pid, 0)[1] == 0
print(kv.incr("n"))
"""


def test_parent_and_child_go_on_after_a_fork(store: Store, child: Any) -> None:
    done = child(FORK, store.stats().path)
    assert done.stdout == "7\n", done.stderr


def test_the_label_is_the_url(store: Store) -> None:
    assert store.stats().path.startswith("postgresql://postgres@")


def test_what_makes_no_sense_with_it_is_an_error(store: Store) -> None:
    with pytest.raises(luat_kv.InvalidError, match="durability"):
        luat_kv.open(os.environ["LUAT_KV_TEST_POSTGRES"], durability="full")
