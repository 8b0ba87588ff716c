"""What keys(), values() and items() give: a look at a range of keys, read page by page as it is gone through."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, Callable, Iterator, NamedTuple, Optional, TypeVar

from ._arguments import Key, bound, utf8
from ._entries import item_of, key_of, value_of

if TYPE_CHECKING:
    from ._namespace import Namespace

T = TypeVar("T")


class Range(NamedTuple):
    """Which keys, and which way. Bounds are in byte order, whichever way it goes."""

    prefix: Key = b""
    start: Key = b""
    stop: Optional[bytes] = None
    reverse: bool = False

    def has(self, key: Key) -> bool:
        raw, prefix, start = utf8(key), utf8(self.prefix, "prefix"), utf8(self.start, "start")
        return raw.startswith(prefix) and start <= raw and (self.stop is None or raw < self.stop)

    def count(self, namespace: Namespace) -> int:
        if self.start or self.stop is not None:
            return sum(1 for _ in namespace._scan(self, False, lambda _entry, _length: None))
        return namespace.count(self.prefix)

    def back(self) -> Range:
        return self._replace(reverse=not self.reverse)


def range_of(prefix: Key, start: Key, stop: Optional[Key], reverse: bool) -> Range:
    return Range(prefix, start, bound(stop, "stop"), reverse)


class _View:
    """What the three have in common. They are sized and iterated over by going through the store."""

    _mapping: Namespace
    _range: Range

    def __init__(self, namespace: Namespace, within: Range) -> None:
        self._mapping = namespace
        self._range = within

    def __len__(self) -> int:
        return self._range.count(self._mapping)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} of {self._mapping!r}>"

    def _scan(self, within: Range, values: bool, make: Callable[[Any, Any], T]) -> Iterator[T]:
        return self._mapping._scan(within, values, make)


class Keys(_View, KeysView[str]):
    def __contains__(self, key: object) -> bool:
        return isinstance(key, (str, bytes)) and self._range.has(key) and key in self._mapping

    def __iter__(self) -> Iterator[str]:
        return self._scan(self._range, False, key_of)

    def __reversed__(self) -> Iterator[str]:
        return self._scan(self._range.back(), False, key_of)


class Items(_View, ItemsView[str, bytes]):
    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        key, value = item
        return isinstance(key, (str, bytes)) and self._range.has(key) and self._mapping.get(key) == value

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return self._scan(self._range, True, item_of)

    def __reversed__(self) -> Iterator[tuple[str, bytes]]:
        return self._scan(self._range.back(), True, item_of)


class Values(_View, ValuesView[bytes]):
    def __contains__(self, value: object) -> bool:
        return any(value == other for other in self)

    def __iter__(self) -> Iterator[bytes]:
        return self._scan(self._range, True, value_of)

    def __reversed__(self) -> Iterator[bytes]:
        return self._scan(self._range.back(), True, value_of)
