"""The frequent operations of a namespace, each in one call: in C (fast.c), or in Python where that is not compiled.

Each takes the attributes cdata and address of the namespace's Handle. Without fast.c the address is not needed.
"""

from __future__ import annotations

from typing import Any, List, NoReturn

from ._arguments import utf8
from ._errors import fail
from ._handles import check, closed, new_error
from ._library import address_of, ffi, lib

# Buffers for values. A call takes one from the list and puts it back; both steps are atomic. A longer value needs
# another call of the library.
_BUFFER_SIZE = 65536
_buffers: List[Any] = []


def _new_buffer(size: int) -> Any:
    data = ffi.new("uint8_t[]", size)
    return data, ffi.buffer(data), ffi.new("size_t *"), new_error()


def _read(cdata: Any, address: int, key: Any, default: Any) -> Any:
    """Returns a key's value, or the default if the key is missing."""
    handle, raw = cdata or closed(), utf8(key)
    try:
        buffer = _buffers.pop()
    except IndexError:
        buffer = _new_buffer(_BUFFER_SIZE)
    while True:
        data, window, length, error = buffer
        status = check(lib.luat_kv_get(handle, raw, len(raw), data, len(window), length, error), error)
        if status != lib.LUAT_KV_TOO_SMALL:
            break
        buffer = _new_buffer(length[0])
    value = window[: length[0]] if status == lib.LUAT_KV_OK else default
    if len(window) == _BUFFER_SIZE:
        _buffers.append(buffer)
    return value


def _has(cdata: Any, address: int, key: Any) -> bool:
    """Returns whether there is a key."""
    handle, raw, error = cdata or closed(), utf8(key), new_error()
    return check(lib.luat_kv_has(handle, raw, len(raw), error), error) == int(lib.LUAT_KV_OK)


def _put(cdata: Any, address: int, key: Any, value: Any) -> Any:
    """Stores a value without options, and returns its version. NotImplemented leaves that to the caller, as fast.c does
    with values that are neither str nor bytes."""
    return NotImplemented


def _fail(status: int, address: int) -> NoReturn:
    """Raises the error at an address. It is 0 if the store is closed."""
    if not address:
        closed()
    error = new_error()
    error[0] = ffi.cast("luat_kv_error *", address)
    fail(error, status)


try:
    from ._fast import connect, has, put, read
except ImportError:
    compiled, read, has, put = False, _read, _has, _put
else:
    compiled = True
    functions = [address_of(name) for name in ("luat_kv_get", "luat_kv_has", "luat_kv_put_versioned")]
    connect(*functions, _fail, utf8)

__all__ = ["compiled", "has", "put", "read"]
