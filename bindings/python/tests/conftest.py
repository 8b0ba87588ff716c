"""Fixtures: a store of each kind, and other Python processes."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Callable, Iterator

import pytest

import luat_kv

Child = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[luat_kv.Store]:
    with luat_kv.open(tmp_path / "kv.db") if request.param == "file" else luat_kv.open_memory() as store:
        yield store


@pytest.fixture
def kv(store: luat_kv.Store) -> luat_kv.Namespace:
    return store.namespace("test")


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
