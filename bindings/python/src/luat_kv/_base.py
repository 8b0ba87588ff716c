"""The base class of Namespace, which its views and batches also use."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Optional, TypeVar

from ._arguments import Key, Range, as_bool, as_integer, bound, new_options, utf8, view
from ._entries import Page, page_of
from ._handles import Handles, check, ffi, lib, new_error, numbers, opened
from ._operations import has, read

T = TypeVar("T")

_NOT_FOUND: int = lib.LUAT_KV_NOT_FOUND

# The size of an iteration's first page, and the maximum size of its later pages, in keys.
_FIRST_PAGE, _LAST_PAGE = 4, 1000


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
        handle = self._handle
        value: Optional[bytes] = read(handle.cdata, handle.address, key, None)
        return value

    def _entry(self, key: Key, make: Callable[[Any, Any], T]) -> Optional[T]:
        """Returns the result of make() for a key's entry, or None if the key is missing."""
        handle, raw = self._handle.pointer, utf8(key)
        out, error = ffi.new("luat_kv_entry **"), new_error()
        if check(lib.luat_kv_get_entry(handle, raw, len(raw), out, error), error) == _NOT_FOUND:
            return None
        try:
            return make(out[0], ffi.new("size_t *"))
        finally:
            lib.luat_kv_entry_free(out[0])

    def __contains__(self, key: object) -> bool:
        handle = self._handle
        return has(handle.cdata, handle.address, key)

    def count(self, prefix: Key = b"") -> int:
        """Returns the number of keys with a prefix."""
        raw = utf8(prefix, "prefix")
        return numbers(lib.luat_kv_count, self._handle.pointer, raw, len(raw))[0]

    def _list(
        self, within: Range, values: bool, make: Callable[[Any, Any], T], limit: Optional[int], cursor: Optional[str]
    ) -> Page[T]:
        handle, options = self._handle.pointer, new_options("luat_kv_list_options", lib.luat_kv_list_options_init)
        if as_bool(within.reverse, "reverse"):
            options.flags |= lib.LUAT_KV_LIST_REVERSE
        if as_bool(values, "values"):
            options.flags |= lib.LUAT_KV_LIST_VALUES
        options.limit = 0 if limit is None else as_integer(limit, "limit", 1, 2**32 - 1)
        texts = {
            "prefix": utf8(within.prefix, "prefix"),
            "start": utf8(within.start, "start"),
            "stop": within.stop,
            "cursor": bound(cursor, "cursor"),
        }
        _kept = [view(text, getattr(options, what)) for what, text in texts.items() if text is not None]
        return page_of(opened("luat_kv_page", lib.luat_kv_list, lib.luat_kv_page_free, handle, options), make)

    def _scan(self, within: Range, values: bool, make: Callable[[Any, Any], T]) -> Iterator[T]:
        # The first page is small, for callers that need one or a few keys, and each is larger than the one before.
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
