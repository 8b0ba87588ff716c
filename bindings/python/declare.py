"""Makes luat_kv/_declarations.py from include/luat_kv.h, when the package is built.

cffi rather than ctypes, and in its out-of-line ABI mode: what it declares is the generated header itself, so no structure
or signature is written a second time by hand; nobody needs a compiler to install the package, since the module that comes
out is plain Python; and a call costs less than through ctypes. Both release the GIL for the length of a call.
"""

import pathlib
import re

import cffi

# In the repository, or in a source distribution.
header = pathlib.Path("../../include/luat_kv.h")
if pathlib.Path("luat_kv.h").exists():
    header = pathlib.Path("luat_kv.h")


def declarations(text: str) -> str:
    """The header without what is for a preprocessor: cffi takes declarations, and #defines of numbers."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif.*?\n", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^#(?!define LUAT_KV_\w+ -?\d+$).*\n", "", text, flags=re.MULTILINE)


ffi = cffi.FFI()
ffi.set_source("luat_kv._declarations", None)
ffi.cdef(declarations(header.read_text(encoding="utf-8")))
