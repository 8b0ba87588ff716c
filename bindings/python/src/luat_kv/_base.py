"""What a namespace, its views and its batches share."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Optional, TypeVar

from ._arguments import Key, Range, bound, new_options, utf8, view, whole, yes
from ._entries import Page, page_of
from ._entries import value_of as entry_value
from ._errors import fail
from ._handles import Handles, check, ffi, lib, new_error, numbers, opened

T = TypeVar("T")

_OK: int = lib.LUAT_KV_OK
_NOT_FOUND: int = lib.LUAT_KV_NOT_FOUND
_TOO_SMALL: int = lib.LUAT_KV_TOO_SMALL

# How many keys a walk reads at once, at first and at last.
_FIRST_PAGE, _LAST_PAGE = 4, 1000

# Buffers for values, each used by one call at a time: taken out of the list and put back, which are atomic. A get of
# what fits then costs one call of the library; more is read once again, as an entry.
_ROOM = 65536
_buffers: List[Any] = []


def _new_buffer() -> Any:
    data = ffi.new("uint8_t[]", _ROOM)
    return data, ffi.buffer(data), ffi.new("size_t *"), new_error()


class NamespaceBase:
    """A namespace's handle and its reads: of one key, and of a range, page by page."""

    __slots__ = ("_handles", "_handle", "name", "__weakref__")

    def __init__(self, handles: Handles, name: Key) -> None:
        self._handles = handles
        raw = utf8(name, "a namespace's name")
        store, free = handles.store.pointer, lib.luat_kv_namespace_free
        handle = opened("luat_kv_namespace", lib.luat_kv_namespace_open, free, store, raw, len(raw))
        self.name = raw.decode()
        self._handle = handles.hold(handle)

    def __repr__(self) -> str:
        return f"<luat_kv.Namespace {self.name!r}{', closed' if self._handles.closed else ''}>"

    def _read(self, key: Key) -> Optional[bytes]:
        handle = self._handle.pointer
        raw = utf8(key)
        try:
            buffer = _buffers.pop()
        except IndexError:
            buffer = _new_buffer()
        data, window, length, error = buffer
        status = lib.luat_kv_get(handle, raw, len(raw), data, _ROOM, length, error)
        value: Optional[bytes] = window[: length[0]] if status == _OK else None
        if status < 0:
            fail(error, status)
        _buffers.append(buffer)
        return value if status != _TOO_SMALL else self._entry(key, entry_value)

    def _entry(self, key: Key, make: Callable[[Any, Any], T]) -> Optional[T]:
        """What is wanted of a key's entry, or None where there is none."""
        handle, raw = self._handle.pointer, utf8(key)
        out, error = ffi.new("luat_kv_entry **"), new_error()
        if check(lib.luat_kv_get_entry(handle, raw, len(raw), out, error), error) == _NOT_FOUND:
            return None
        try:
            return make(out[0], ffi.new("size_t *"))
        finally:
            lib.luat_kv_entry_free(out[0])

    def __contains__(self, key: object) -> bool:
        handle, raw, error = self._handle.pointer, utf8(key), new_error()  # type: ignore[arg-type]
        return check(lib.luat_kv_has(handle, raw, len(raw), error), error) == _OK

    def count(self, prefix: Key = b"") -> int:
        """How many keys begin with a prefix."""
        raw = utf8(prefix, "prefix")
        return numbers(lib.luat_kv_count, self._handle.pointer, raw, len(raw))[0]

    def _list(
        self, within: Range, values: bool, make: Callable[[Any, Any], T], limit: Optional[int], cursor: Optional[str]
    ) -> Page[T]:
        handle, options = self._handle.pointer, new_options("luat_kv_list_options", lib.luat_kv_list_options_init)
        if yes(within.reverse, "reverse"):
            options.flags |= lib.LUAT_KV_LIST_REVERSE
        if yes(values, "values"):
            options.flags |= lib.LUAT_KV_LIST_VALUES
        options.limit = 0 if limit is None else whole(limit, "limit", 1, 2**32 - 1)
        texts = {
            "prefix": utf8(within.prefix, "prefix"),
            "start": utf8(within.start, "start"),
            "stop": within.stop,
            "cursor": bound(cursor, "cursor"),
        }
        _kept = [view(text, getattr(options, what)) for what, text in texts.items() if text is not None]
        return page_of(opened("luat_kv_page", lib.luat_kv_list, lib.luat_kv_page_free, handle, options), make)

    def _scan(self, within: Range, values: bool, make: Callable[[Any, Any], T]) -> Iterator[T]:
        # The first page is small, for callers that want one key or a few, and each page is larger than the one before.
        cursor, limit = None, _FIRST_PAGE
        while True:
            page = self._list(within, values, make, limit, cursor)
            yield from page.entries
            cursor, limit = page.cursor, min(limit * 4, _LAST_PAGE)
            if cursor is None:
                return

    def _count(self, within: Range) -> int:
        if within.start or within.stop is not None:
            return sum(1 for _ in self._scan(within, False, lambda _entry, _length: None))
        return self.count(within.prefix)
