"""The package: its declarations, how it finds its library, its types, and its installation."""

from __future__ import annotations

import ast
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from typing import Any

import pytest

import luat_kv
from luat_kv import _library, _operations

HERE = pathlib.Path(__file__).resolve().parents[1]
HEADER = re.sub(r"/\*.*?\*/", "", (HERE / "../../include/luat_kv.h").read_text(), flags=re.DOTALL)
FUNCTIONS = set(re.findall(r"\b(luat_kv_\w+)\s*\(", HEADER))
INSIDE = "LUAT_KV_LIBRARY" not in os.environ
CONSTANTS = dict(re.findall(r"^#define (LUAT_KV_\w+) (-?\d+)$", HEADER, flags=re.MULTILINE))

# Functions that the package does not use: the status of an error is also the result of its call, put(), add() and
# delete() use the newer functions that return more, take() reads an entry before it removes it, iterations read pages,
# and the errors contain the limits.
LEFT_OUT = {
    "luat_kv_error_status",
    "luat_kv_put",
    "luat_kv_add",
    "luat_kv_delete",
    "luat_kv_take",
    "luat_kv_iter_open",
    "luat_kv_iter_next",
    "luat_kv_iter_free",
    "luat_kv_store_limits",
}


def test_all_of_the_header_is_declared_and_used() -> None:
    assert len(FUNCTIONS) > 50 and len(CONSTANTS) > 20
    beside = {"function_name", "set_function"} if _library.compiled else set()
    assert set(dir(_library.lib)) == FUNCTIONS | set(CONSTANTS) | beside
    assert {name: getattr(_library.lib, name) for name in CONSTANTS} == {name: int(n) for name, n in CONSTANTS.items()}
    sources = "\n".join(path.read_text() for path in (HERE / "src/luat_kv").glob("*.py"))
    used = set(re.findall(r"lib(?:rary)?\.(luat_kv_\w+|LUAT_KV_\w+)", sources))
    assert FUNCTIONS | set(CONSTANTS) == used | LEFT_OUT and not used & LEFT_OUT


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """The modules do not import each other in a circle, also not for types only (TYPE_CHECKING)."""
    imports = {}
    for path in (HERE / "src/luat_kv").glob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.level]
        imports[path.stem] = {node.module or "__init__" for node in nodes}
    assert len(imports) > 10
    while imports:
        last = [name for name, needs in imports.items() if not needs & imports.keys()]
        assert last, f"these import each other: {sorted(imports)}"
        for name in last:
            del imports[name]


def compiler() -> list[str]:
    return os.environ.get("CC", "cc").split()


def test_structs_are_laid_out_as_a_c_compiler_does(tmp_path: pathlib.Path) -> None:
    names = ["luat_kv_bytes", "luat_kv_limits", "luat_kv_cache_stats"]
    names += (f"luat_kv_{what}_options" for what in ("open", "put", "list", "incr", "watch"))
    assert set(names) == set(re.findall(r"^typedef struct (\w+) \{", HEADER, flags=re.MULTILINE))
    asked, declared = [], []
    for name in names:
        asked.append(f"sizeof({name})")
        declared.append(_library.ffi.sizeof(name))
        for field, _ in _library.ffi.typeof(name).fields:
            asked.append(f"offsetof({name}, {field})")
            declared.append(_library.ffi.offsetof(name, field))
    prints = "\n".join(f'printf("%zu\\n", {what});' for what in asked)
    (tmp_path / "layout.c").write_text(f'#include <stdio.h>\n#include <luat_kv.h>\nint main(void) {{ {prints} }}')
    include = HERE / "../../include"
    subprocess.run([*compiler(), f"-I{include}", "-o", tmp_path / "layout", tmp_path / "layout.c"], check=True)
    said = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True).stdout
    assert [int(line) for line in said.split()] == declared


def test_versions() -> None:
    assert version("luat-kv") == luat_kv.__version__ == luat_kv.library_version == _library.version
    assert re.fullmatch(r"\d+\.\d+\.\d+", luat_kv.library_version)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "is not libluat_kv: it has no luat_kv_abi_version()"),
        ("unsigned luat_kv_abi_version(void) { return 99; }", "has ABI 99, and this package needs {abi}"),
        ("unsigned luat_kv_abi_version(void) { return {abi}; }", "is too old for this package: it has no luat_kv_"),
    ],
)
def test_a_library_that_does_not_fit_is_told_at_import(
    tmp_path: pathlib.Path, child: Any, code: str, message: str
) -> None:
    abi = CONSTANTS["LUAT_KV_ABI_VERSION"]
    library = tmp_path / "libother.so"
    (tmp_path / "other.c").write_text(code.replace("{abi}", abi))
    subprocess.run([*compiler(), "-shared", "-fPIC", "-o", library, tmp_path / "other.c"], check=True)
    done = child("import luat_kv", LUAT_KV_LIBRARY=str(library))
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ImportError: ")
    assert str(library) in last and message.replace("{abi}", abi) in last


def test_a_library_that_is_missing_is_told_at_import(child: Any) -> None:
    done = child("import luat_kv", LUAT_KV_LIBRARY="/nowhere/libluat_kv.so")
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: libluat_kv cannot be loaded (LUAT_KV_LIBRARY names it): ")
    assert "/nowhere/libluat_kv.so" in last


@pytest.mark.skipif(INSIDE, reason="this wheel contains the library")
def test_without_a_variable_the_system_is_asked(tmp_path: pathlib.Path, child: Any) -> None:
    code = "from luat_kv import _library; print(_library.path)"
    # Files that are not libraries represent missing ones: the loader finds them before installed libraries.
    names = ["libluat_kv.so.0", "libluat_kv.so"]
    for name in names:
        (tmp_path / name).write_text("no library")
    done = child(code, LUAT_KV_LIBRARY="", LD_LIBRARY_PATH=str(tmp_path))
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: libluat_kv cannot be loaded (install it with `make lib && sudo make install` ")
    assert "or set LUAT_KV_LIBRARY to its path" in last and all(f"{name}: " in last for name in names)
    for name in reversed(names):
        (tmp_path / name).unlink()
        shutil.copy(os.environ["LUAT_KV_LIBRARY"], tmp_path / name)
        assert child(code, LUAT_KV_LIBRARY="", LD_LIBRARY_PATH=str(tmp_path)).stdout == name + "\n"


def test_a_panic_is_an_error_and_the_store_goes_on(child: Any) -> None:
    hooked = os.environ.get("LUAT_KV_HOOKED_LIBRARY")
    assert hooked, "set LUAT_KV_HOOKED_LIBRARY to a library that was built with the feature debug-hooks"
    code = """
import luat_kv
with luat_kv.open("kv.db") as store:
    kv = store.namespace("a")
    kv["other"] = b"1"
    for call in (lambda: kv.put("boom", b"1"), lambda: kv.get("boom")):
        try:
            call()
        except luat_kv.PanicError as error:
            print(error.code, error.status)
    kv["other"] = kv["other"] + b"2"
    print(dict(kv))
"""
    done = child(code, LUAT_KV_LIBRARY=hooked, LUAT_KV_DEBUG_PANIC_KEY="boom")
    assert done.stdout == "PANIC -8\nPANIC -8\n{'other': b'12'}\n", done.stderr


def mypy(folder: pathlib.Path, tmp_path: pathlib.Path, *files: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_types(tmp_path: pathlib.Path) -> None:
    done = mypy(HERE, tmp_path, "src", "tests")
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_as_a_user_of_the_installed_package_sees_them(tmp_path: pathlib.Path) -> None:
    (tmp_path / "user.py").write_text("""
import luat_kv
with luat_kv.open_memory() as store:
    kv = store.namespace("a")
    kv["a"] = b"1"
    reveal_type(kv.get("a"))
    reveal_type(kv.get("a", 5))
    reveal_type([key for key in kv])
    reveal_type(kv.list(values=True).entries[0].value)
    reveal_type([change.value for change in kv.watch(["a"], timeout=0)])
    kv["a"] = "text"
    kv["a"] = memoryview(b"view")
    kv["a"] = 5
    kv.put("a", b"1", expiry=5)
    luat_kv.open("kv.db", limits="none")
""")
    done = mypy(tmp_path, tmp_path, "--python-version=3.10", "user.py")
    assert re.findall(r'Revealed type is "(.*)"', done.stdout.replace("builtins.", "")) == [
        "bytes | None",
        "bytes | int",
        "list[str]",
        "bytes",
        "list[bytes | None]",
    ]
    wrong = re.findall(r"user.py:(\d+): error: .*\[([\w-]+)\]", done.stdout)
    assert wrong == [("13", "assignment"), ("14", "call-arg"), ("15", "arg-type")], done.stdout


@pytest.mark.parametrize(
    ("requirements", "script"),
    [
        ("requirements.txt", "environment"),
        ("adapters/sources.txt", "environment"),
        ("bench/requirements.txt", "bench/run"),
    ],
)
def test_what_tests_and_bench_need_is_pinned_by_its_hashes(requirements: str, script: str) -> None:
    text = (HERE / requirements).read_text()
    pins = [line for line in text.replace("\\\n", "").splitlines() if not line.startswith("#")]
    assert pins
    for pin in pins:
        assert re.fullmatch(r"[\w-]+==[\d.]+(; python_version < \"[\d.]+\")?(\s+--hash=sha256:[0-9a-f]{64})+", pin), pin
    assert f"--require-hashes -r bindings/python/{requirements}" in (HERE / script).read_text()


def copied(tmp_path: pathlib.Path) -> pathlib.Path:
    """Returns a copy of the sources, since a build leaves its folders beside them."""
    source = tmp_path / "repository/bindings/python"
    shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    (tmp_path / "repository/include").mkdir()
    shutil.copy(HERE / "../../include/luat_kv.h", tmp_path / "repository/include")
    return source


def build(source: pathlib.Path, what: str, out: pathlib.Path, **environment: str) -> None:
    code = "import sys; from setuptools import build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"
    command, env = [sys.executable, "-c", code, what, str(out)], {**os.environ, **environment}
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_pip_builds(tmp_path: pathlib.Path) -> None:
    """The wheel is for any CPython from 3.9 on, and contains the same from the repository and from a source
    distribution."""
    source = copied(tmp_path)
    build(source, "sdist", tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xzf", archive], cwd=tmp_path / "unpacked", check=True)
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    licences = {name: (HERE / "../.." / name).read_bytes() for name in ("LICENSE-MIT", "LICENSE-APACHE")}
    assert {f"{unpacked.name}/{name}" for name in ("luat_kv.h", "declare.py", "README.md", *licences)} <= set(names)
    contents = []
    for number, folder in enumerate((source, unpacked)):
        out = tmp_path / str(number)
        build(folder, "wheel", out)
        (wheel,) = out.iterdir()
        assert "-cp39-abi3-" in wheel.name
        with zipfile.ZipFile(wheel) as zipped:
            modules = {re.sub(r"[.][^/]*[.](so|pyd)$", "", name) for name in zipped.namelist()}
            assert {"luat_kv/_compiled", "luat_kv/_fast"} <= modules
            contents.append({name: zipped.read(name) for name in modules if name.endswith((".py", ".pyi", ".typed"))})
            packed = {name: zipped.read(name) for name in zipped.namelist() if "/licenses/" in name}
            assert {name.rsplit("/", 1)[1]: text for name, text in packed.items()} == licences
    assert contents[0] == contents[1]
    assert {"luat_kv/py.typed", "luat_kv/_declarations.py", "luat_kv/_declarations.pyi"} <= set(contents[0])
    assert b"luat_kv_get_entry" in contents[0]["luat_kv/_declarations.py"]


def test_extension_modules_are_used() -> None:
    assert _library.compiled and _operations.compiled


def test_without_a_compiler_the_package_works(tmp_path: pathlib.Path, child: Any) -> None:
    """The other tests pass without the extension modules too. (But for those of cachelib and Django, which are long.)"""
    build(copied(tmp_path), "wheel", tmp_path / "out", CC="false", CXX="false")
    (wheel,) = (tmp_path / "out").iterdir()
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    installed = str(tmp_path / "installed")
    used = child(
        "from luat_kv import _library, _operations as o; print(_library.compiled, o.compiled, o.__file__)",
        PYTHONPATH=installed,
        LUAT_KV_LIBRARY=_library.path,
    )
    assert used.stdout.startswith(f"False False {installed}"), used.stderr
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--ignore", __file__, "-k", "not passes_its_tests", str(HERE / "tests")]
    environment = {**os.environ, "PYTHONPATH": installed, "LUAT_KV_LIBRARY": _library.path}
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    said = re.search(r"^\d\d\d passed, \d deselected in ", done.stdout, flags=re.MULTILINE)
    assert done.returncode == 0 and said, done.stdout


README = (HERE / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_the_example_of_the_readme_runs_and_is_typed(tmp_path: pathlib.Path, child: Any) -> None:
    example = EXAMPLES[0]
    assert len(example.splitlines()) < 20
    done = child(example)
    said = re.findall(r"#> (.*)", example)
    assert said and done.stdout.splitlines() == said, done.stderr
    (tmp_path / "example.py").write_text(example)
    typed = mypy(tmp_path, tmp_path, "example.py")
    assert typed.returncode == 0, typed.stdout


def test_the_other_code_of_the_readme_runs(child: Any) -> None:
    assert len(EXAMPLES) > 1
    for code in EXAMPLES[1:]:
        begin = "import luat_kv\nstore = luat_kv.open('kv.db')\nkv = store.namespace('a')\n"
        done = child(begin + code)
        assert (done.returncode, done.stderr) == (0, ""), code
        assert done.stdout.splitlines() == re.findall(r"#> (.*)", code), code


def test_the_readme_names_all_that_is_public() -> None:
    for kind in (luat_kv.Store, luat_kv.Namespace, luat_kv.Batch, luat_kv.Watch):
        for name in vars(kind):
            assert name.startswith("_") or re.search(rf"\b{name}\b", README), f"{kind.__name__}.{name}"
    for name in luat_kv.__all__:
        assert re.search(rf"\b{name}\b", README), name
