"""Who holds which handle of the library.

A handle must not be freed while another thread is in a call with it, and calls must cost little. So nothing is counted
or locked here: cffi's object for a handle frees it when its last reference goes, and a call has a reference of its own,
the argument. To close is to drop the reference that a Handle has; if calls are under way, the last of them to return
frees the library's. That is also safe when the garbage collector, a signal handler or a fork comes in between.
"""

from __future__ import annotations

from typing import Any, NoReturn
from weakref import WeakValueDictionary

from ._errors import InvalidError, fail
from ._library import ffi, lib


class Handle:
    """A handle, until the store is closed."""

    __slots__ = ("pointer", "__weakref__")
    pointer: Any

    def __init__(self, pointer: Any) -> None:
        self.pointer = pointer

    def __getattr__(self, name: str) -> NoReturn:
        # Python comes here only where there is no pointer any more, so that it costs nothing where there is.
        if name == "pointer":
            raise InvalidError("the store is closed")
        raise AttributeError(name)

    def close(self) -> None:
        try:
            del self.pointer
        except AttributeError:  # closed already
            pass


class Handles:
    """A store's handle, and those of its namespaces and batches, which are theirs but are closed with it."""

    __slots__ = ("store", "closed", "_children")

    def __init__(self, store: Any) -> None:
        self.store = Handle(store)
        self.closed = False
        self._children: WeakValueDictionary[int, Handle] = WeakValueDictionary()

    def hold(self, pointer: Any) -> Handle:
        """Takes in a handle that was just opened, unless the store was closed meanwhile."""
        handle = Handle(pointer)
        self._children[id(handle)] = handle
        if self.closed:
            handle.close()
        return handle

    def close(self) -> None:
        # In this order, with hold() doing the reverse, nobody is missed who comes in between.
        self.closed = True
        self.store.close()
        for reference in self._children.valuerefs():
            child = reference()
            if child is not None:
                child.close()


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


__all__ = ["Handle", "Handles", "check", "ffi", "lib", "new_error", "numbers", "opened"]
