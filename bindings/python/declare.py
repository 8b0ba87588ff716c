"""Generates luat_kv/_declarations.py from include/luat_kv.h, when the package is built.

The package uses cffi's out-of-line ABI mode rather than ctypes. Its declarations are the generated header itself, so no
structure or signature is written a second time by hand. Installing the package needs no compiler, since the generated
module is plain Python. And a call takes less time than with ctypes. Both release the GIL during a call.
"""

import pathlib
import re

import cffi

# The header's path in the repository, and in a source distribution.
header = pathlib.Path("../../include/luat_kv.h")
if pathlib.Path("luat_kv.h").exists():
    header = pathlib.Path("luat_kv.h")


def declarations(text: str) -> str:
    """Returns the header without preprocessor directives, except #defines of numbers, which cffi accepts."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif.*?\n", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^#(?!define LUAT_KV_\w+ -?\d+$).*\n", "", text, flags=re.MULTILINE)


ffi = cffi.FFI()
ffi.set_source("luat_kv._declarations", None)
ffi.cdef(declarations(header.read_text(encoding="utf-8")))
