"""Results of the library: entries, and pages of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Generic, Iterator, List, Literal, NamedTuple, Optional, TypeVar

from ._arguments import from_json
from ._errors import CorruptError
from ._library import ffi, lib

T = TypeVar("T")


class Entry(NamedTuple):
    """A key and its contents, at the time when they were read."""

    key: str
    value: bytes
    metadata: Any
    """The metadata that was stored with the value, or None."""
    expiration: Optional[int]
    """When the entry expires, in Unix seconds; None means never."""
    version: str
    """Identifies the write that stored the entry, for Batch.check(). Opaque, and different for each write."""


class KeyInfo(NamedTuple):
    """A key of a list without values. Its fields are those of Entry."""

    key: str
    metadata: Any
    expiration: Optional[int]
    version: str


class Change(NamedTuple):
    """The latest state of a key that has changed. After a delete the fields from value to version are None."""

    key: str
    type: Literal["put", "delete"]
    """A put is any write that gave the key a new version. After a delete the key is not there any more."""
    value: Optional[bytes]
    """None in a watch without values."""
    metadata: Any
    expiration: Optional[int]
    version: Optional[str]
    expired: bool
    """Whether the key is not there any more because it has expired."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list."""

    entries: List[T]
    cursor: Optional[str]
    """The argument cursor for the list() of the next page; None after the last page."""

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
    """Returns a copy of an entry's value."""
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


_EXPIRE: int = lib.LUAT_KV_CHANGE_EXPIRE
_TYPES: dict[int, Literal["put", "delete"]] = {
    lib.LUAT_KV_CHANGE_PUT: "put",
    lib.LUAT_KV_CHANGE_DELETE: "delete",
    _EXPIRE: "delete",
}


def change_of(entry: Any, length: Any) -> Change:
    kind = lib.luat_kv_entry_change(entry)
    what = _TYPES.get(kind, "delete")  # a kind of a newer library has nothing but the key, too
    if what == "delete":
        return Change(key_of(entry, length), what, None, None, None, None, kind == _EXPIRE)
    key, metadata, expiration, version = key_info(entry, length)
    value = _text(lib.luat_kv_entry_value, entry, length)
    return Change(key, what, value, metadata, expiration, version, False)


def page_of(page: Any, make: Callable[[Any, Any], T]) -> Page[T]:
    """Converts a page, with make() for each entry."""
    length = ffi.new("size_t *")
    entries = [make(lib.luat_kv_page_at(page, i), length) for i in range(lib.luat_kv_page_len(page))]
    cursor = _text(lib.luat_kv_page_cursor, page, length)
    return Page(entries, None if cursor is None else str(cursor, "ascii"))
