"""The build. The package's metadata is in pyproject.toml."""

import pathlib

from setuptools import setup
from setuptools.command.sdist import sdist


class Sdist(sdist):  # type: ignore[misc]
    """A source distribution that includes the header, which is outside of this folder in the repository."""

    def make_release_tree(self, base_dir: str, files: "list[str]") -> None:
        super().make_release_tree(base_dir, files)
        header = pathlib.Path("luat_kv.h")
        if not header.exists():
            header = pathlib.Path("../../include/luat_kv.h")
        pathlib.Path(base_dir, "luat_kv.h").write_bytes(header.read_bytes())


setup(cffi_modules=["declare.py:ffi"], cmdclass={"sdist": Sdist})
