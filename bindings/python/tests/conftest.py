"""Fixtures: a store of each kind, and other Python processes.

With a server in LUAT_KV_TEST_POSTGRES only the tests that take any store run, on databases of it.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import subprocess
import sys
from typing import Callable, Iterator

import pytest

import luat_kv

Child = Callable[..., "subprocess.CompletedProcess[str]"]


POSTGRES = "LUAT_KV_TEST_POSTGRES" in os.environ
collect_ignore = [] if POSTGRES else ["test_postgres.py"]
DATABASE = pathlib.Path(__file__).parents[3] / "tests/postgres/database"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if POSTGRES:
        items[:] = [item for item in items if "store" in getattr(item, "fixturenames", [])]


@pytest.fixture(params=["postgres"] if POSTGRES else ["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[luat_kv.Store]:
    if request.param == "memory":
        opened = luat_kv.open_memory()
    elif request.param == "file":
        opened = luat_kv.open(tmp_path / "kv.db")
    else:
        # The name of a test can be too long for a program's environment.
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        opened = luat_kv.open(subprocess.check_output([DATABASE], text=True, env=environment).strip())
    with opened as store:
        yield store


@pytest.fixture
def kv(store: luat_kv.Store) -> luat_kv.Namespace:
    return store.namespace("test")


def _count(kv: luat_kv.Namespace) -> None:
    for _ in range(100):
        kv.incr("n")


@pytest.fixture
def count_in_forks() -> Callable[[luat_kv.Namespace], None]:
    """Increments a key in this process and three children, and checks that nothing is lost."""

    def run(kv: luat_kv.Namespace) -> None:
        processes = [multiprocessing.get_context("fork").Process(target=_count, args=(kv,)) for _ in range(3)]
        for process in processes:
            process.start()
        _count(kv)
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert kv["n"] == b"400"

    return run


@pytest.fixture
def child(tmp_path: pathlib.Path) -> Child:
    """Runs Python code in a new process, in the test's folder, with additional environment variables."""

    def run(code: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", code, *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
