"""What comes out of the library: entries and pages of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Generic, Iterator, List, NamedTuple, Optional, TypeVar

from ._arguments import from_json
from ._errors import CorruptError
from ._library import ffi, lib

T = TypeVar("T")


class Entry(NamedTuple):
    """A key and what it holds, as it was when it was read."""

    key: str
    value: bytes
    metadata: Any
    """What was given with the value; None if nothing was."""
    expiration: Optional[int]
    """When the entry is gone, in Unix seconds; None: never."""
    version: str
    """Which write it comes from, for Batch.check(): opaque, and another for each write."""


class KeyInfo(NamedTuple):
    """A key of a list without values; its fields are those of Entry."""

    key: str
    metadata: Any
    expiration: Optional[int]
    version: str


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list, which ends where its cursor says."""

    entries: List[T]
    cursor: Optional[str]
    """What to pass to the next list(); None if nothing is left."""

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[T]:
        return iter(self.entries)


def _text(get: Callable[..., Any], of: Any, length: Any) -> Optional[bytes]:
    data = get(of, length)
    return None if data == ffi.NULL else ffi.buffer(data, length[0])[:]


def key_of(entry: Any, length: Any) -> str:
    data = lib.luat_kv_entry_key(entry, length)
    return str(ffi.buffer(data, length[0]), "utf-8")


def value_of(entry: Any, length: Any) -> bytes:
    """The one copy that is made of a value."""
    data = lib.luat_kv_entry_value(entry, length)
    value: bytes = ffi.buffer(data, length[0])[:]
    return value


def item_of(entry: Any, length: Any) -> tuple[str, bytes]:
    return key_of(entry, length), value_of(entry, length)


def version_of(entry: Any, length: Any) -> str:
    return str(_text(lib.luat_kv_entry_version, entry, length) or b"", "ascii")


def _metadata_of(entry: Any, length: Any) -> Any:
    text = _text(lib.luat_kv_entry_metadata, entry, length)
    if text is None:
        return None
    try:
        return from_json(text)
    except ValueError as error:  # another program wrote it
        raise CorruptError(f"the metadata of {key_of(entry, length)!r} is not JSON: {error}") from None


def key_info(entry: Any, length: Any) -> KeyInfo:
    return KeyInfo(
        key_of(entry, length),
        _metadata_of(entry, length),
        lib.luat_kv_entry_expiration(entry) or None,
        version_of(entry, length),
    )


def whole_entry(entry: Any, length: Any) -> Entry:
    key, metadata, expiration, version = key_info(entry, length)
    return Entry(key, value_of(entry, length), metadata, expiration, version)


def page_of(page: Any, make: Callable[[Any, Any], T]) -> Page[T]:
    """All of a page, made into what is wanted of its entries."""
    length = ffi.new("size_t *")
    entries = [make(lib.luat_kv_page_at(page, i), length) for i in range(lib.luat_kv_page_len(page))]
    cursor = _text(lib.luat_kv_page_cursor, page, length)
    return Page(entries, None if cursor is None else str(cursor, "ascii"))
