"""The handles of the library, and when they are freed.

A handle must not be freed while another thread is in a call with it, and calls must be fast. So nothing is counted or
locked here: cffi's object for a handle frees it when its last reference is dropped, and a call has a reference, the
argument. Closing drops the reference of the Handle; if calls are in progress, the last of them frees the library's
handle when it returns. That is also safe if the garbage collector, a signal handler or a fork intervenes.
"""

from __future__ import annotations

from typing import Any, Callable, NoReturn, Optional
from weakref import WeakValueDictionary

from ._errors import InvalidError, fail
from ._library import ffi, lib


class Handle:
    """A handle of the library.

    cdata is cffi's object for it, and None after the store was closed. address is where the handle lies; it must be
    used only while a reference to cdata is held. wake is called after the handle was closed; a Watch calls it also when
    it has found changes.
    """

    __slots__ = ("cdata", "address", "wake", "__weakref__")

    def __init__(self, pointer: Any) -> None:
        self.cdata = pointer
        self.wake: Optional[Callable[[], object]] = None
        self.address = int(ffi.cast("uintptr_t", pointer))

    @property
    def pointer(self) -> Any:
        """The same as cdata, and an InvalidError after the store was closed."""
        cdata = self.cdata
        return closed() if cdata is None else cdata

    def close(self) -> None:
        self.cdata = None
        wake = self.wake
        if wake is not None:
            wake()


class Handles:
    """A store's handle, and the handles of its namespaces, batches and watches, which are closed with it."""

    __slots__ = ("store", "closed", "_children")

    def __init__(self, store: Any) -> None:
        self.store = Handle(store)
        self.closed = False
        self._children: WeakValueDictionary[int, Handle] = WeakValueDictionary()

    def hold(self, pointer: Any) -> Handle:
        """Takes ownership of a new handle. Closes it if the store was closed meanwhile."""
        handle = Handle(pointer)
        self._children[id(handle)] = handle
        if self.closed:
            handle.close()
        return handle

    def close(self) -> None:
        # hold() has the reverse order, so a handle that is added at the same time is closed by one of the two.
        self.closed = True
        self.store.close()
        for reference in self._children.valuerefs():
            child = reference()
            if child is not None:
                child.close()


def closed() -> NoReturn:
    raise InvalidError("the store is closed")


def check(status: int, error: Any) -> int:
    """Raises the error of a failed call. Otherwise returns its status."""
    if status < 0:
        fail(error, status)
    return status


def new_error() -> Any:
    return ffi.new("luat_kv_error **")


def opened(what: str, function: Any, free: Any, *arguments: Any) -> Any:
    """Returns the handle that a function opens. It is freed when its last reference is dropped."""
    out, error = ffi.new(what + " **"), new_error()
    check(function(*arguments, out, error), error)
    return ffi.gc(out[0], free)


def numbers(function: Any, *arguments: Any, outs: int = 1) -> list[int]:
    """Returns the uint64_t outputs of a function whose last parameters they are."""
    out, error = ffi.new("uint64_t[]", outs), new_error()
    check(function(*arguments, *(out + i for i in range(outs)), error), error)
    return list(out)


__all__ = ["Handle", "Handles", "check", "closed", "ffi", "lib", "new_error", "numbers", "opened"]
