"""Finds libluat_kv, and checks that its ABI is the one that this package was built for."""

from __future__ import annotations

import os
import sys
from typing import Any

from ._declarations import ffi

if sys.platform == "win32":
    _NAMES = ["luat_kv.dll"]
elif sys.platform == "darwin":
    _NAMES = ["libluat_kv.0.dylib", "libluat_kv.dylib"]
else:
    _NAMES = ["libluat_kv.so.0", "libluat_kv.so"]


def _open() -> tuple[Any, str]:
    chosen = os.environ.get("LUAT_KV_LIBRARY")
    reasons = []
    for name in [chosen] if chosen else _NAMES:
        try:
            return ffi.dlopen(name), name
        except OSError as error:
            reasons.append(str(error))
    advice = "install it with `make lib && sudo make install` in luat_kv's sources, or set LUAT_KV_LIBRARY to its path"
    hint = "LUAT_KV_LIBRARY names it" if chosen else advice
    raise ImportError(f"libluat_kv cannot be loaded ({hint}): {'; '.join(reasons)}")


def _checked() -> tuple[Any, str]:
    library, path = _open()
    # The declarations contain the header's constants, but cffi looks up a function only when it is accessed.
    try:
        has = library.luat_kv_abi_version()
    except (AttributeError, ffi.error):
        raise ImportError(f"{path} is not libluat_kv: it has no luat_kv_abi_version()", path=path) from None
    needs = library.LUAT_KV_ABI_VERSION
    if has != needs:
        raise ImportError(f"libluat_kv at {path} has ABI {has}, and this package needs {needs}", path=path)
    for name in dir(library):
        try:
            getattr(library, name)
        except (AttributeError, ffi.error):
            message = f"libluat_kv at {path} is too old for this package: it has no {name}()"
            raise ImportError(message, path=path) from None
    return library, path


lib, path = _checked()
version: str = ffi.string(lib.luat_kv_version()).decode()

__all__ = ["ffi", "lib", "path", "version"]
