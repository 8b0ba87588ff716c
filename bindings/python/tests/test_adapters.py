"""The adapters for cachelib and Django: by the tests that these have for their own caches, and as README shows them."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parents[1]
# The source packages, which contain the tests: see `environment`.
SOURCES = pathlib.Path(sys.prefix).parent / "sources"
FLASK, DJANGO = re.findall(r"^```py\n(.*?)^```$", (HERE / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


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


def test_the_application_of_the_readme_for_flask(tmp_path: pathlib.Path) -> None:
    (tmp_path / "app.py").write_text(FLASK)
    visit = "import app; client = app.app.test_client(); print(client.get('/').text, client.get('/').text)"
    assert run(tmp_path, "-c", visit) == "visit 1 visit 2\n"
    assert run(tmp_path, "-m", "flask", "routes").count("visits") == 1


@pytest.mark.parametrize("place", ["", 'CACHES["default"]["LOCATION"] = f"file:{BASE_DIR}/data/kv.db"'])
def test_the_settings_of_the_readme_for_django(tmp_path: pathlib.Path, place: str) -> None:
    run(tmp_path, "-m", "django", "startproject", "site_", ".")
    with (tmp_path / "site_/settings.py").open("a") as settings:
        settings.write(f"\n{DJANGO}\n{place}\n")
    put = "from django.contrib.sessions.backends.cache import SessionStore as S; s = S(); s['user'] = 'alice'; s.create()"
    key = run(tmp_path, "manage.py", "shell", "-c", f"{put}; print(s.session_key)").strip()
    get = "from importlib import import_module; from django.conf import settings"
    get = f"{get}; print(import_module(settings.SESSION_ENGINE).SessionStore({key!r})['user'])"
    assert run(tmp_path, "manage.py", "shell", "-c", get) == "alice\n"
    assert (tmp_path / "data/kv.db").exists()
