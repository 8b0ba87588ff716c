"""The adapters for cachelib and Django, by the tests that these have for their own caches."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parents[1]
# The source packages, which contain the tests: see `environment`.
SOURCES = pathlib.Path(sys.prefix).parent / "sources"


def unpacked(peer: str, folder: pathlib.Path, suite: str, place: str) -> pathlib.Path:
    """Unpacks the tests of a peer, with a suite of ours among them. Returns their folder."""
    (archive,) = SOURCES.glob(f"{peer}-*.tar.gz")
    subprocess.run(["tar", "xf", archive, "-C", folder], check=True)
    tests = folder / archive.name[: -len(".tar.gz")] / "tests"
    (tests / place).write_text((HERE / "adapters" / suite).read_text())
    return tests


def run(folder: pathlib.Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_cache_for_cachelib_passes_its_tests(tmp_path: pathlib.Path) -> None:
    tests = unpacked("cachelib", tmp_path, "cachelib_tests.py", "test_luat_kv.py")
    told = run(tests, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=.", "test_luat_kv.py")
    assert "17 passed" in told and "skipped" not in told


def test_the_cache_for_django_passes_its_tests(tmp_path: pathlib.Path) -> None:
    tests = unpacked("django", tmp_path, "django_tests.py", "cache/tests_luat_kv.py")
    told = run(tests, "runtests.py", "--parallel=1", "cache.tests_luat_kv.CacheTests")
    # Those of caches that remove what is not old, and of the commands for a cache in a database, are skipped.
    assert re.search(r"Ran 6\d tests", told) and "OK (skipped=3)" in told
