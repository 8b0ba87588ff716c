"""Finds libluat_kv, and checks that its ABI is the one that this package was built for."""

from __future__ import annotations

import itertools
import os
import pathlib
import sys
from typing import Any

from ._declarations import ffi as _abi

try:
    from ._compiled import ffi, lib
except ImportError:  # there was no compiler when the package was built
    compiled = False
else:
    compiled = True

if sys.platform == "win32":
    _NAMES = ["luat_kv.dll"]
elif sys.platform == "darwin":
    _NAMES = ["libluat_kv.0.dylib", "libluat_kv.dylib"]
else:
    _NAMES = ["libluat_kv.so.0", "libluat_kv.so"]


# A wheel contains the library. Nothing else loads that file, so the system's may be another version.
_INSIDE = pathlib.Path(__file__).with_name(_NAMES[0])


def _open() -> tuple[Any, str]:
    chosen = os.environ.get("LUAT_KV_LIBRARY") or (str(_INSIDE) if _INSIDE.exists() else None)
    reasons = []
    for name in [chosen] if chosen else _NAMES:
        try:
            return _abi.dlopen(name), name
        except OSError as error:
            reasons.append(str(error))
    advice = "install it with `make lib && sudo make install` in luat_kv's sources, or set LUAT_KV_LIBRARY to its path"
    hint = "LUAT_KV_LIBRARY names it" if os.environ.get("LUAT_KV_LIBRARY") else "it is in the package" if chosen else advice
    raise ImportError(f"libluat_kv cannot be loaded ({hint}): {'; '.join(reasons)}")


def _checked() -> tuple[Any, str]:
    library, path = _open()
    # The declarations contain the header's constants, but cffi looks up a function only when it is accessed.
    lookup_errors = (AttributeError, _abi.error)
    try:
        has = library.luat_kv_abi_version()
    except lookup_errors:
        raise ImportError(f"{path} is not libluat_kv: it has no luat_kv_abi_version()", path=path) from None
    needs = library.LUAT_KV_ABI_VERSION
    if has != needs:
        raise ImportError(f"libluat_kv at {path} has ABI {has}, and this package needs {needs}", path=path)
    for name in dir(library):
        try:
            getattr(library, name)
        except lookup_errors:
            message = f"libluat_kv at {path} is too old for this package: it has no {name}()"
            raise ImportError(message, path=path) from None
    return library, path


def address_of(function: str) -> int:
    """Returns the address of one of the library's functions."""
    return int(_abi.cast("uintptr_t", _abi.addressof(_library, function)))


def _connect() -> None:
    """Gives the compiled module the addresses of all functions. It is linked with no library."""
    for index in itertools.count():
        name = lib.function_name(index)
        if name == ffi.NULL:
            return
        lib.set_function(index, address_of(ffi.string(name).decode()))


_library, path = _checked()
if compiled:
    _connect()
else:
    ffi, lib = _abi, _library
version: str = ffi.string(lib.luat_kv_version()).decode()

__all__ = ["address_of", "compiled", "ffi", "lib", "path", "version"]
