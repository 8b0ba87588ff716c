"""A namespace: a mapping from keys to bytes, with the further operations of the store."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    Literal,
    NoReturn,
    Optional,
    TypeVar,
    Union,
    overload,
)

from ._arguments import (
    Key,
    Range,
    as_integer,
    from_json,
    incr_options,
    keys_of,
    lifetime,
    put_options,
    range_of,
    to_json,
    utf8,
    value_of,
)
from ._batch import Batch
from ._entries import Entry, KeyInfo, Page, key_info, key_of, page_of, version_of, whole_entry
from ._entries import value_of as entry_value
from ._handles import check, ffi, lib, new_error, numbers, opened
from ._operations import put, read
from ._transfer import Transfers
from ._views import Items, Keys, Values
from ._watch import Watch

if TYPE_CHECKING:
    from ._arguments import Value

T = TypeVar("T")

_OK: int = lib.LUAT_KV_OK
_NO_DEFAULT = object()


def _entry_and_version(entry: Any, length: Any) -> tuple[Entry, str]:
    found = whole_entry(entry, length)
    return found, found.version


def _value_and_version(entry: Any, length: Any) -> tuple[bytes, str]:
    return entry_value(entry, length), version_of(entry, length)


class Namespace(Transfers, MutableMapping[Union[str, bytes], bytes]):
    """A set of keys within a store, as a mapping. Keys are returned as str; values are bytes. A str is stored as UTF-8.

    Any thread may use it at any time. Iteration is in byte order of the keys, and reads page by page: it may or may not
    return keys that are put or deleted meanwhile, and returns all others once. Store.namespace() returns a Namespace.
    """

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Namespace cannot be copied or pickled: open the store where it is needed")

    # ---- One key

    def __getitem__(self, key: Key) -> bytes:
        value = self._read(key)
        if value is None:
            raise KeyError(key)
        return value

    @overload
    def get(self, key: Key) -> Optional[bytes]: ...
    @overload
    def get(self, key: Key, default: Union[bytes, T]) -> Union[bytes, T]: ...
    def get(self, key: Key, default: Any = None) -> Any:
        """Returns the value, or the default if the key is missing or has expired."""
        handle = self._handle
        return read(handle.cdata, handle.address, key, default)

    def get_json(self, key: Key, default: Any = None) -> Any:
        """Returns the value parsed as JSON. Raises json.JSONDecodeError if it is not JSON."""
        value = self._read(key)
        return default if value is None else from_json(value)

    def get_entry(self, key: Key) -> Optional[Entry]:
        """Returns the value with its metadata, expiration and version, or None."""
        return self._entry(key, whole_entry)

    def __setitem__(self, key: Key, value: Value) -> None:
        self._put(key, value)

    def _put(self, key: Key, value: Value) -> str:
        """Stores a value without options. Returns the version."""
        handle = self._handle
        version: Any = put(handle.cdata, handle.address, key, value)
        return self._write(lib.luat_kv_put_versioned, key, value, ffi.NULL) if version is NotImplemented else version

    def _write(self, function: Any, key: Key, value: Value, options: Any) -> str:
        """Calls luat_kv_put_versioned() or luat_kv_add_versioned(). Returns the version, "" if nothing was stored."""
        handle, raw, error = self._handle.pointer, utf8(key), new_error()
        data, size = value_of(value)
        version = ffi.new("char[]", lib.LUAT_KV_VERSION_SIZE)
        check(function(handle, raw, len(raw), data, size, options, version, error), error)
        return str(ffi.string(version), "ascii")

    def put(
        self,
        key: Key,
        value: Value,
        *,
        expiration: Optional[int] = None,
        expiration_ttl: Optional[int] = None,
        metadata: object = None,
    ) -> str:
        """Stores a value, and replaces everything that the key held: value, expiration and metadata. Returns the
        version of the new entry, for Batch.check().

        expiration is in Unix seconds; expiration_ttl is in seconds from now, and takes precedence. metadata is anything
        that json.dumps() accepts, except None.
        """
        if expiration is None and expiration_ttl is None and metadata is None:
            return self._put(key, value)
        options, _kept = put_options(expiration, expiration_ttl, metadata)
        return self._write(lib.luat_kv_put_versioned, key, value, options)

    def put_json(
        self,
        key: Key,
        value: object,
        *,
        expiration: Optional[int] = None,
        expiration_ttl: Optional[int] = None,
        metadata: object = None,
    ) -> str:
        """Stores a value as JSON, with json.dumps(). NaN is an error, since JSON has none. Returns the version."""
        return self.put(key, to_json(value), expiration=expiration, expiration_ttl=expiration_ttl, metadata=metadata)

    def add(
        self,
        key: Key,
        value: Value,
        *,
        expiration: Optional[int] = None,
        expiration_ttl: Optional[int] = None,
        metadata: object = None,
    ) -> Optional[str]:
        """Does put() if the key is missing. Returns the version of the new entry, or None if the key exists."""
        options, _kept = put_options(expiration, expiration_ttl, metadata)
        return self._write(lib.luat_kv_add_versioned, key, value, options) or None

    def touch(
        self, key: Key, *, expiration: Optional[int] = None, expiration_ttl: Optional[int] = None
    ) -> bool:
        """Sets the expiration of a key or, without arguments, removes it. Returns whether the key exists."""
        handle, raw, error = self._handle.pointer, utf8(key), new_error()
        at, ttl = lifetime(expiration, expiration_ttl)
        return check(lib.luat_kv_touch(handle, raw, len(raw), at, ttl, error), error) == _OK

    def incr(
        self,
        key: Key,
        by: int = 1,
        *,
        initial: int = 0,
        expiration: Optional[int] = None,
        expiration_ttl: Optional[int] = None,
    ) -> int:
        """Adds to the integer that a key holds, and returns the sum. The options apply only if the key is missing."""
        handle, raw, error = self._handle.pointer, utf8(key), new_error()
        options, total = incr_options(initial, expiration, expiration_ttl), ffi.new("int64_t *")
        check(lib.luat_kv_incr(handle, raw, len(raw), as_integer(by, "by"), options, total, error), error)
        return int(total[0])

    def delete(self, key: Key) -> bool:
        """Removes a key. Returns whether it existed."""
        handle, raw, error = self._handle.pointer, utf8(key), new_error()
        return check(lib.luat_kv_remove(handle, raw, len(raw), error), error) == _OK

    def __delitem__(self, key: Key) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def _take(self, key: Key, make: Callable[[Any, Any], tuple[T, str]]) -> Optional[T]:
        """Removes a key and returns what make() reads from its entry, or None if the key is missing.

        make() also returns the entry's version. The entry is removed only after make() has read it, and only if it
        still has that version, so an entry that cannot be read is kept. (luat_kv_take() would already have removed it.)
        """
        while True:
            found = self._entry(key, make)
            if found is None:
                return None
            wanted, version = found
            if self.batch().check(key, version).delete(key).commit() is not None:
                return wanted

    def take(self, key: Key) -> Optional[Entry]:
        """Removes a key and returns its entry, in one step, or None if it is missing. If several callers take the same
        key, one of them gets the entry."""
        return self._take(key, _entry_and_version)

    @overload
    def pop(self, key: Key) -> bytes: ...
    @overload
    def pop(self, key: Key, default: Union[bytes, T]) -> Union[bytes, T]: ...
    def pop(self, key: Key, default: Any = _NO_DEFAULT) -> Any:
        """Removes a key and returns its value, in one step. If it is missing: the default, or KeyError."""
        value = self._take(key, _value_and_version)
        if value is not None:
            return value
        if default is _NO_DEFAULT:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, bytes]:
        """Removes the first key and returns it with its value, in one step. Raises KeyError if there is none."""
        while first := self._list(Range(), False, key_of, 1, None).entries:
            if (value := self.pop(first[0], None)) is not None:
                return first[0], value
        raise KeyError("popitem(): the namespace is empty")

    def setdefault(self, key: Key, default: Value) -> bytes:
        """Returns the value of a key. If the key is missing, stores this value first, in one step."""
        while True:
            if (value := self._read(key)) is not None:
                return value
            if self.add(key, default):
                data, _size = value_of(default)
                return data if isinstance(data, bytes) else bytes(ffi.buffer(data))

    # ---- Many keys

    def get_entries(self, keys: Iterable[Key]) -> Dict[str, Entry]:
        """Returns the entries of those of the keys that exist, all as of one moment."""
        handle = self._handle.pointer
        table, count, _kept = keys_of(keys, "get_entries() and get_many() take")
        if not count:
            return {}
        page = opened("luat_kv_page", lib.luat_kv_get_many, lib.luat_kv_page_free, handle, table, count)
        return {entry.key: entry for entry in page_of(page, whole_entry)}

    def get_many(self, keys: Iterable[Key]) -> Dict[str, bytes]:
        """Returns the values of those of the keys that exist, all as of one moment."""
        return {key: entry.value for key, entry in self.get_entries(keys).items()}

    @overload
    def list(
        self, *, prefix: Key = ..., start: Key = ..., stop: Optional[Key] = ..., reverse: bool = ...,
        values: Literal[False] = ..., limit: Optional[int] = ..., cursor: Optional[str] = ...,
    ) -> Page[KeyInfo]: ...
    @overload
    def list(
        self, *, prefix: Key = ..., start: Key = ..., stop: Optional[Key] = ..., reverse: bool = ...,
        values: Literal[True], limit: Optional[int] = ..., cursor: Optional[str] = ...,
    ) -> Page[Entry]: ...
    def list(
        self, *, prefix: Key = b"", start: Key = b"", stop: Optional[Key] = None, reverse: bool = False,
        values: bool = False, limit: Optional[int] = None, cursor: Optional[str] = None,
    ) -> Page[Any]:
        """Returns a page of keys, in byte order or reverse byte order, with their metadata, expiration and version.

        start is inclusive and stop is exclusive, both in byte order for either direction. A page has at most limit
        keys, by default 1000; with values, it also ends when they reach 16 MiB. cursor is that of the page before.
        """
        return self._list(
            range_of(prefix, start, stop, reverse), values, whole_entry if values is True else key_info, limit, cursor
        )

    def entries(
        self, *, prefix: Key = b"", start: Key = b"", stop: Optional[Key] = None, reverse: bool = False
    ) -> Iterator[Entry]:
        """Iterates over the entries of all pages, with their values."""
        return self._scan(range_of(prefix, start, stop, reverse), True, whole_entry)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self.keys())

    def keys(self, *, prefix: Key = b"", start: Key = b"", stop: Optional[Key] = None, reverse: bool = False) -> Keys:
        """Returns a view of the keys in a range, which reads page by page."""
        return Keys(self, range_of(prefix, start, stop, reverse))

    def values(
        self, *, prefix: Key = b"", start: Key = b"", stop: Optional[Key] = None, reverse: bool = False
    ) -> Values:
        """Returns a view of the values in a range."""
        return Values(self, range_of(prefix, start, stop, reverse))

    def items(self, *, prefix: Key = b"", start: Key = b"", stop: Optional[Key] = None, reverse: bool = False) -> Items:
        """Returns a view of the keys and values in a range."""
        return Items(self, range_of(prefix, start, stop, reverse))

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return bool(self.list(limit=1).entries)

    def delete_prefix(self, prefix: Key) -> int:
        """Removes all keys with a prefix, which must not be empty, in small steps between which others can write.
        Returns how many were removed."""
        raw = utf8(prefix, "prefix")
        return numbers(lib.luat_kv_delete_prefix, self._handle.pointer, raw, len(raw))[0]

    def clear(self) -> int:  # type: ignore[override]  # dict.clear() returns None
        """Removes all keys, in small steps like delete_prefix(). Returns how many were removed."""
        return numbers(lib.luat_kv_clear, self._handle.pointer)[0]

    def watch(
        self,
        keys: Optional[Iterable[Key]] = None,
        *,
        prefix: Key = b"",
        existing: bool = False,
        since: Optional[Key] = None,
        values: bool = False,
        timeout: Optional[float] = None,
    ) -> Watch:
        """Begins to watch keys, and returns a Watch, which tells what changes from now on, whoever changes it. What the
        keys hold now is no change, unless existing is set.

            for change in kv.watch(prefix="user:", timeout=60):
                print(change.type, change.key)

        keys     only these keys, at most 1000, whether they exist or not.
        prefix   only keys with this prefix. Without keys and prefix, the whole namespace is watched.
        existing begin with what is there: every live key is returned first, as a put. Set it to keep a copy of the
                 keys. With a list of your own you could miss the removal of a key that was put just before the list
                 and removed just after.
        since    go on from the token() of an earlier watch of this namespace: what has changed since then comes first.
                 If that watch had other keys, those that only this one has are returned as puts. None, or an empty
                 one: from now on. Not with existing.
        values   return the new values too.
        timeout  a loop over the watch ends after so many seconds without a change; None: it does not end.

        A watch compares all its keys whenever the store has changed, which takes about a millisecond for 1000 keys.
        """
        return Watch(self, keys, prefix, existing, since, values, timeout)

    def batch(self) -> Batch:
        """Begins a batch whose methods use this namespace by default."""
        return Batch(self._handles, self)
