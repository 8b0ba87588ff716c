"""Watches: being told of changes, by waiting in a thread or in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import math
import os
import threading
import time
from types import TracebackType
from typing import Any, Iterable, List, NoReturn, Optional

from ._arguments import Key, as_bool, keys_of, milliseconds, new_options, utf8, view
from ._base import NamespaceBase
from ._entries import Change, change_of
from ._errors import CorruptError, InvalidError
from ._handles import check, closed, ffi, lib, new_error, opened

_TIMEOUT: int = lib.LUAT_KV_TIMEOUT
_ALL = int(ffi.cast("size_t", -1))

# How long one call of the library waits, in milliseconds. Between two calls Python handles signals, and close() takes
# effect.
_SLICE = 100


class Watch:
    """Tells which keys have changed. Namespace.watch() returns it.

    It is an iterator over changes, and an asynchronous iterator for asyncio. A key that has changed several times since
    the last call is returned once, with its latest state. The keys come in byte order, and what one batch has changed
    comes together. A loop ends after the watch's timeout; another one goes on from there.

    One thread or task at a time may wait with a watch. It keeps its store open until close(), the end of a with
    statement, or its last reference. A forked child cannot use it, and opens its own.
    """

    __slots__ = (
        "_namespace", "_handles", "_handle", "_timeout", "_process", "_turn", "_is_task", "_lock", "_reading",
        "_page", "__weakref__",
    )

    def __init__(
        self,
        namespace: NamespaceBase,
        keys: Optional[Iterable[Key]],
        prefix: Key,
        existing: bool,
        since: Optional[Key],
        values: bool,
        timeout: Optional[float],
    ) -> None:
        self._namespace = namespace
        self._handles = namespace._handles
        self._timeout = None if timeout is None else milliseconds(timeout, "timeout")
        self._process = os.getpid()
        # The first is held while a thread or a task waits, the second during each call of the library: a task that is
        # cancelled leaves such a call to its thread. The third is held by token(), beside the second, which a call by a
        # signal's handler may take again.
        self._turn, self._lock, self._reading = threading.Lock(), threading.RLock(), threading.Lock()
        self._is_task = False  # whether a task holds the first
        self._page = _Page()
        pointer, options = namespace._handle.pointer, new_options("luat_kv_watch_options", lib.luat_kv_watch_options_init)
        if as_bool(values, "values"):
            options.flags |= lib.LUAT_KV_WATCH_VALUES
        if as_bool(existing, "existing"):
            options.flags |= lib.LUAT_KV_WATCH_EXISTING
        _kept = [view(utf8(prefix, "prefix"), options.prefix)]
        if since is not None:
            _kept.append(view(utf8(since, "since"), options.since))
        if keys is not None:
            table, count, kept = keys_of(keys, "watch() takes")
            options.keys, options.key_count = table, count
            if not count:
                raise InvalidError("keys is empty; leave it out, or pass None, to watch all keys")
            _kept += [table, kept]
        self._handle = self._handles.hold(
            opened("luat_kv_watch", lib.luat_kv_watch_open, lib.luat_kv_watch_free, pointer, options)
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Watch cannot be copied or pickled")

    def __repr__(self) -> str:
        return f"<luat_kv.Watch of {self._namespace!r}{', closed' if self._handle.cdata is None else ''}>"

    # ---- Waiting in a thread

    def next(self, timeout: Optional[float] = None) -> List[Change]:
        """Returns the changes since the last call. Waits until there are some, but not longer than timeout seconds, and
        returns an empty list then; None: as long as it takes. After a loop that has ended early, the changes that the
        loop has not returned come first.

        After an error nothing is lost, and the call can be repeated. Metadata that is not JSON, which another program
        has written, raises CorruptError once; the next call returns the other changes."""
        wait = None if timeout is None else milliseconds(timeout, "timeout")
        with self._begin():
            self._wait(wait)
            return self._page.take_all()

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Change:
        with self._begin():
            self._wait(self._timeout)
            if not self._page.has_more:
                raise StopIteration
            return self._page.take()

    def _wait(self, timeout: Optional[int]) -> None:
        clock = _Clock(timeout)
        while not self._page.has_more:
            left = clock.left()
            self._look(min(left, _SLICE))
            if not left:
                return

    # ---- Waiting in an event loop

    def fileno(self) -> int:
        """Returns a descriptor for an event loop. It is readable when next() may have something to return. Then call
        next(0), which makes it unreadable again. It may also be readable without a change. It belongs to the watch: only
        poll it. Raises io.UnsupportedOperation where the system has none: only Linux has."""
        number = self._descriptor()
        if number < 0:
            raise io.UnsupportedOperation("on this system a watch has no descriptor")
        return number

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Change:
        with self._begin(is_task=True):
            if not self._page.has_more:
                await self._wait_in_loop()
            if not self._page.has_more:
                raise StopAsyncIteration
            return self._page.take()

    async def _wait_in_loop(self) -> None:
        # This reference keeps the descriptor open, so that another file does not get its number meanwhile.
        _kept = self._pointer()
        loop, number, clock = asyncio.get_running_loop(), self._descriptor(), _Clock(self._timeout)
        while True:
            left = clock.left()
            # In another thread, since it may wait for the disk, or for another process.
            await loop.run_in_executor(None, self._look, 0 if number >= 0 else min(left, _SLICE))
            if self._page.has_more or not left:
                return
            if number >= 0:
                try:
                    await self._wait_for_descriptor(loop, number, left)
                except NotImplementedError:  # the loop of Windows, for example
                    number = -1

    async def _wait_for_descriptor(self, loop: asyncio.AbstractEventLoop, number: int, left: float) -> None:
        ready = loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        def wake_soon() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(wake)

        loop.add_reader(number, wake)
        self._handle.wake = wake_soon
        try:
            self._pointer()  # it may have been closed just before
            if self._page.is_untaken:  # so may a call have found something
                return
            await asyncio.wait([ready], timeout=None if math.isinf(left) else left / 1000)
        finally:
            self._handle.wake = None
            loop.remove_reader(number)

    # ---- Both

    def token(self) -> str:
        """Returns a token. A watch that begins with it, watch(since=token), goes on after the changes that this one has
        returned, also in another process: after a restart a program learns what has changed while it was not running.
        In a loop the present change is the last of them; what next() has returned counts as a whole.

        A token is never too old. It contains what the watch knows of each key, in about 40 characters and the part of
        the key that differs from the one before. So a program with many keys saves one now and then, and not after each
        change. With an older token it is told more.

        It can be read while a task waits. While another thread waits it is an InvalidError."""
        self._check_process()
        if self._turn.locked() and not self._is_task:
            raise _in_use()
        with self._lock:  # for a task, another thread may hold it for the time of a _SLICE
            if self._reading.locked():
                raise InvalidError("a signal's handler cannot call token() while it is called")
            with self._reading:
                return self._read_token()

    def _read_token(self) -> str:
        out, error = ffi.new("luat_kv_bytes *"), new_error()
        pointer = self._pointer()  # which keeps the text alive
        check(lib.luat_kv_watch_token(pointer, self._page.handled, out, error), error)
        return str(ffi.buffer(out.data, out.len), "ascii")

    def _begin(self, is_task: bool = False) -> threading.Lock:
        """Returns the lock that is held while a thread or a task waits. (A lock that is taken here could stay locked
        after a KeyboardInterrupt; a with statement takes it safely.)"""
        self._check_process()
        if self._turn.locked():
            raise _in_use()
        self._is_task = is_task
        return self._turn

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            self._ask(0, _Page())  # the library refuses it; the locks may be held by threads that the child does not have

    def _pointer(self) -> Any:
        cdata = self._handle.cdata
        if cdata is None and not self._handles.closed:
            raise InvalidError("the watch is closed")
        return closed() if cdata is None else cdata

    def _descriptor(self) -> int:
        """Returns the descriptor, or -1 if there is none."""
        number, error = ffi.new("int *"), new_error()
        check(lib.luat_kv_watch_fd(self._pointer(), number, error), error)
        return int(number[0])

    def _ask(self, wait: int, page: _Page) -> int:
        error = new_error()
        return check(lib.luat_kv_watch_next(self._pointer(), wait, page.out, error), error)

    def _look(self, wait: float) -> None:
        """Waits for changes, some milliseconds at most."""
        with self._lock:
            if self._page.has_more:  # by a call that a cancelled task has left
                return
            if self._page.is_complete:
                self._page = _Page()
            if self._page.out[0] == ffi.NULL and self._ask(int(wait), self._page) == _TIMEOUT:
                return
            try:
                self._page.convert()
            finally:
                # If a cancelled task has left this call, the next task may wait for the descriptor, which is not readable
                # any more.
                wake = self._handle.wake
                if wake is not None:
                    wake()

    # ---- Its end

    def close(self) -> None:
        """Ends the watch. A thread or a task that waits with it gets an InvalidError, and so does every later call. A
        second close() does nothing."""
        self._handle.close()

    def __enter__(self) -> Watch:
        self._pointer()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def _in_use() -> InvalidError:
    return InvalidError("another thread or task waits with this watch; each needs its own")


class _Clock:
    """The time that is left of a timeout in milliseconds."""

    def __init__(self, timeout: Optional[int]) -> None:
        self._end = math.inf if timeout is None else time.monotonic() + timeout / 1000

    def left(self) -> float:
        """Returns the milliseconds, rounded up."""
        left = max(0.0, self._end - time.monotonic()) * 1000
        return left if math.isinf(left) else math.ceil(left)


class _Page:
    """What one call of the library has returned. It is kept until all of it was converted and taken, so nothing is lost
    if an exception of a signal's handler comes in between.

    For the same reason the library's page is freed here, and by no finalizer: one in Python would swallow the exception,
    and one in C could free the page before this object knows of it."""

    __slots__ = ("out", "is_complete", "_changes", "_refused", "_taken")

    def __init__(self) -> None:
        self.out = ffi.new("luat_kv_page **")
        self.is_complete = False
        """Whether all was converted, and the library's page was freed."""
        self._changes: List[Change] = []
        self._refused: List[int] = []
        """The number of changes before each one that could not be converted."""
        self._taken = 0

    def convert(self) -> None:
        page, length = self.out[0], ffi.new("size_t *")
        while (place := len(self._changes) + len(self._refused)) < lib.luat_kv_page_len(page):
            try:
                self._changes.append(change_of(lib.luat_kv_page_at(page, place), length))
            except CorruptError:  # it would fail again
                self._refused.append(len(self._changes))
                raise
        self.is_complete = True
        lib.luat_kv_page_free(page)

    @property
    def handled(self) -> int:
        """How many changes of the library's last answer were taken, or refused by an exception."""
        if self.out[0] == ffi.NULL:  # that answer was the page before, and all of it was taken
            return _ALL
        return self._taken + sum(before <= self._taken for before in self._refused)

    @property
    def is_untaken(self) -> bool:
        """Whether the library has returned something that was not taken, converted or not."""
        return self.has_more if self.is_complete else self.out[0] != ffi.NULL

    @property
    def has_more(self) -> bool:
        return self.is_complete and self._taken < len(self._changes)

    def take(self) -> Change:
        change = self._changes[self._taken]
        self._taken += 1
        return change

    def take_all(self) -> List[Change]:
        changes = self._changes[self._taken :]
        self._taken += len(changes)
        return changes
