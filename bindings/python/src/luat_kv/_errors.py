"""What a call can fail with."""

from __future__ import annotations

from typing import Any, NoReturn

from ._library import ffi, lib


class Error(Exception):
    """A failed call: code is the name of its status, as in "BUSY", and status the number."""

    code: str = "UNKNOWN"
    status: int = 0


class InvalidError(Error, ValueError):
    """The request itself is wrong: it would fail again."""


class IoError(Error, OSError):
    """The operating system refused: no such folder, no permission, disk full, ... errno is the number of the system's
    error, as in errno.ENOSPC, or None if the library does not tell one."""


class BusyError(Error):
    """Another process or connection held the database for longer than the busy timeout. Try again."""


class CorruptError(Error):
    """The file is not a database, is damaged, or is not a key-value store's."""


class ReadonlyError(Error):
    """A write to a store that was opened for reading only, or whose file may not be written."""


class LimitError(Error, ValueError):
    """Something is longer, or a lifetime shorter, than the store's limits allow."""


class NoMemoryError(Error, MemoryError):
    """Memory ran out."""


class PanicError(Error):
    """A bug in the library was caught; the store goes on working. Please report it."""


class InternalError(Error):
    """SQLite answered something unexpected."""


class ConflictError(Error):
    """A condition of a batch in a with statement did not hold, and nothing was changed."""


_KINDS: dict[int, type[Error]] = {
    lib.LUAT_KV_INVALID: InvalidError,
    lib.LUAT_KV_IO: IoError,
    lib.LUAT_KV_BUSY: BusyError,
    lib.LUAT_KV_CORRUPT: CorruptError,
    lib.LUAT_KV_READONLY: ReadonlyError,
    lib.LUAT_KV_LIMIT: LimitError,
    lib.LUAT_KV_NOMEM: NoMemoryError,
    lib.LUAT_KV_PANIC: PanicError,
    lib.LUAT_KV_INTERNAL: InternalError,
    lib.LUAT_KV_CONFLICT: ConflictError,
}
for _status, _kind in _KINDS.items():
    _kind.status = _status
    _kind.code = ffi.string(lib.luat_kv_status_str(_status)).decode()


def fail(error: Any, status: int) -> NoReturn:
    """Raises what a call left in its luat_kv_error **, and frees it."""
    message = ffi.string(lib.luat_kv_error_message(error[0])).decode("utf-8", "replace")
    number = lib.luat_kv_error_errno(error[0])
    lib.luat_kv_error_free(error[0])
    raised = _KINDS.get(status, Error)(message)
    if isinstance(raised, IoError):
        raised.errno = number or None
    if type(raised) is Error:  # a status of a newer library
        raised.status = status
    raise raised
