"""The views that keys(), values() and items() return. They read a range of keys page by page during iteration."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, ValuesView
from typing import Any, Callable, Iterator, TypeVar

from ._arguments import Range
from ._base import NamespaceBase
from ._entries import item_of, key_of, value_of

T = TypeVar("T")


class _View:
    """The base class of the three views. Their length and their iteration read the store."""

    _namespace: NamespaceBase
    _range: Range

    def __init__(self, namespace: NamespaceBase, within: Range) -> None:
        self._namespace = namespace
        self._range = within

    def __len__(self) -> int:
        return self._namespace._count(self._range)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} of {self._namespace!r}>"

    def _scan(self, within: Range, values: bool, make: Callable[[Any, Any], T]) -> Iterator[T]:
        return self._namespace._scan(within, values, make)


class Keys(_View, KeysView[str]):
    def __contains__(self, key: object) -> bool:
        return isinstance(key, (str, bytes)) and self._range.has(key) and key in self._namespace

    def __iter__(self) -> Iterator[str]:
        return self._scan(self._range, False, key_of)

    def __reversed__(self) -> Iterator[str]:
        return self._scan(self._range.back(), False, key_of)


class Items(_View, ItemsView[str, bytes]):
    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        key, value = item
        if not (isinstance(key, (str, bytes)) and self._range.has(key)):
            return False
        found = self._namespace._read(key)
        return found is not None and found == value

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
