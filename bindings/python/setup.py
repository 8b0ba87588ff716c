"""The build. The package's metadata is in pyproject.toml."""

import pathlib
import sys
import sysconfig

from setuptools import Extension, setup
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


cpython = sys.implementation.name == "cpython"
# For the stable ABI one wheel is for all versions of CPython. Builds without the GIL and for debugging have none.
stable = cpython and sys.version_info >= (3, 10) and not (
    sysconfig.get_config_var("Py_GIL_DISABLED") or hasattr(sys, "gettotalrefcount")
)
fast = Extension(
    "luat_kv._fast",
    ["fast.c"],
    include_dirs=[str(header.parent)],
    depends=[str(header)],
    define_macros=[("Py_LIMITED_API", "0x030A0000")] if stable else [],
    py_limited_api=stable,
    optional=True,
)
setup(
    cffi_modules=["declare.py:abi", "declare.py:compiled"],
    ext_modules=[fast] if cpython else [],
    cmdclass={"sdist": Sdist},
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if stable else {},
)
