"""Who holds which handle of the library.

A handle must not be freed while another thread is in a call with it, and calls must cost little. So nothing is counted
or locked here: cffi's object for a handle frees it when its last reference goes, and a call has a reference of its own,
the argument. To close is to drop the reference that this table has; if calls are under way, the last of them to return
frees the handle. That is also safe when the garbage collector, a signal handler or a fork comes in between.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ._errors import InvalidError, fail
from ._library import ffi, lib

STORE = 0


class Handles(dict[int, Any]):
    """A store's handle, under STORE, and those of its namespaces and batches, each under its owner's id()."""

    __slots__ = ()

    def __missing__(self, key: int) -> NoReturn:
        raise InvalidError("the store is closed")

    def hold(self, key: int, handle: Any) -> None:
        """Takes in a handle that was just opened, unless the store was closed meanwhile."""
        self[key] = handle
        if STORE not in self:
            self.pop(key, None)
            self[STORE]


def check(status: int, error: Any) -> int:
    """Raises the error of a call that failed, else gives its status back."""
    if status < 0:
        fail(error, status)
    return status


def new_error() -> Any:
    return ffi.new("luat_kv_error **")


def opened(what: str, function: Any, free: Any, *arguments: Any) -> Any:
    """What a function opens: an owned handle, which goes back to the library with its last reference."""
    out, error = ffi.new(what + " **"), new_error()
    check(function(*arguments, out, error), error)
    return ffi.gc(out[0], free)


def numbers(function: Any, *arguments: Any, outs: int = 1) -> list[int]:
    """The uint64_t outputs of a function that has them last."""
    out, error = ffi.new("uint64_t[]", outs), new_error()
    check(function(*arguments, *(out + i for i in range(outs)), error), error)
    return list(out)


__all__ = ["STORE", "Handles", "check", "ffi", "lib", "new_error", "numbers", "opened"]
