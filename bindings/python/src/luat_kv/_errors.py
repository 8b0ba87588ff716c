"""The errors of the library."""

from __future__ import annotations

from typing import Any, NoReturn

from ._library import ffi, lib


class Error(Exception):
    """A failed call. code is the name of its status, such as "BUSY"; status is the number."""

    code: str = "UNKNOWN"
    status: int = 0


class InvalidError(Error, ValueError):
    """The request itself is wrong: it would fail again."""


class IoError(Error, OSError):
    """The operating system returned an error: no such folder, no permission, disk full, ... errno is the number of the
    system's error, such as errno.ENOSPC, or None if it is not known."""


class BusyError(Error):
    """Another process or connection locked the database for longer than the busy timeout. Try again."""


class CorruptError(Error):
    """The file is not a database, is damaged, or is not a key-value store's."""


class ReadonlyError(Error):
    """A write to a store that was opened read-only, or to whose file writing is not permitted."""


class LimitError(Error, ValueError):
    """Something is longer, or a lifetime shorter, than the store's limits allow."""


class NoMemoryError(Error, MemoryError):
    """Memory ran out."""


class PanicError(Error):
    """A bug in the library was caught. The store can still be used. Please report it."""


class InternalError(Error):
    """SQLite returned an unexpected result."""


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
    """Raises the error that a call has returned in its luat_kv_error **, and frees it."""
    message = ffi.string(lib.luat_kv_error_message(error[0])).decode("utf-8", "replace")
    number = lib.luat_kv_error_errno(error[0])
    lib.luat_kv_error_free(error[0])
    raised = _KINDS.get(status, Error)(message)
    if isinstance(raised, IoError):
        raised.errno = number or None
    if type(raised) is Error:  # a status of a newer library
        raised.status = status
    raise raised
