"""The build. The package's metadata is in pyproject.toml."""

import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

# The header's path in the repository, and in a source distribution.
header = pathlib.Path("../../include/luat_kv.h")
if pathlib.Path("luat_kv.h").exists():
    header = pathlib.Path("luat_kv.h")


class Sdist(sdist):  # type: ignore[misc]
    """A source distribution that includes the header, which is outside of this folder in the repository."""

    def make_release_tree(self, base_dir: str, files: "list[str]") -> None:
        super().make_release_tree(base_dir, files)
        pathlib.Path(base_dir, "luat_kv.h").write_bytes(header.read_bytes())


NAME = {"darwin": "libluat_kv.0.dylib", "win32": "luat_kv.dll"}.get(sys.platform, "libluat_kv.so.0")
# The library's own sources, in a source distribution.
crate = pathlib.Path("crate")


def library() -> "pathlib.Path | None":
    """Returns the library that the package shall contain, or None if it shall use the system's.

    LUAT_KV_BUNDLE names it; if that is empty there is none. In the repository `make` builds it, and installs it.
    """
    if "LUAT_KV_BUNDLE" in os.environ:
        return pathlib.Path(os.environ["LUAT_KV_BUNDLE"]) if os.environ["LUAT_KV_BUNDLE"] else None
    if not crate.exists():
        return None
    if shutil.which("cargo"):
        target = pathlib.Path("build/crate").absolute()
        command = ["cargo", "rustc", "--locked", "--release", "--lib", "--crate-type", "cdylib", "--target-dir"]
        if subprocess.run([*command, str(target)], cwd=crate).returncode != 0:
            sys.exit("cargo could not build the library. To use the system's instead, set LUAT_KV_BUNDLE= (empty)")
        return next(path for path in (target / "release").iterdir() if path.suffix in (".so", ".dylib", ".dll"))
    try:
        ctypes.CDLL(NAME)
    except OSError as error:
        sys.exit(f"There is neither cargo, to build the library, nor the system's own ({error}). Please install Rust "
                 "(https://rustup.rs) or libluat_kv, or install the wheel, which contains the library")
    return None


class BuildPy(build_py):  # type: ignore[misc]
    """Puts the library beside the modules, where _library.py looks for it."""

    def run(self) -> None:
        super().run()
        path = None if self.editable_mode else library()
        if path:
            shutil.copyfile(path, pathlib.Path(self.build_lib, "luat_kv", NAME))


cpython = sys.implementation.name == "cpython"
# For the stable ABI one wheel is for all versions of CPython. Builds without the GIL and for debugging have none.
stable = cpython and not (sysconfig.get_config_var("Py_GIL_DISABLED") or hasattr(sys, "gettotalrefcount"))
fast = Extension(
    "luat_kv._fast",
    ["fast.c"],
    include_dirs=[str(header.parent)],
    depends=[str(header)],
    define_macros=[("Py_LIMITED_API", "0x03090000")] if stable else [],
    py_limited_api=stable,
    optional=True,
)
setup(
    cffi_modules=["declare.py:abi", "declare.py:compiled"],
    ext_modules=[fast] if cpython else [],
    cmdclass={"build_py": BuildPy, "sdist": Sdist},
    options={"bdist_wheel": {"py_limited_api": "cp39"}} if stable else {},
)
