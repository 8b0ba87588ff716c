"""A store: a database file, a PostgreSQL database, or memory, that contains namespaces."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, List, Literal, NamedTuple, NoReturn, Optional

from ._arguments import DURABILITY, LIMITS, Key, as_bool, as_integer, choice, milliseconds, new_options, path_of
from ._batch import Batch
from ._entries import key_of, page_of
from ._handles import Handles, check, ffi, lib, new_error, numbers, opened
from ._namespace import Namespace

if TYPE_CHECKING:
    from ._arguments import Path

Limits = Literal["default", "cloudflare"]
Durability = Literal["normal", "full"]


class NamespaceStats(NamedTuple):
    """The contents of a namespace."""

    live: int
    expired: int
    """The number of expired keys that have not been swept yet. No other result contains them."""


class CacheStats(NamedTuple):
    """The cache of values, since this process has the file open. All 0 in memory."""

    hits: int
    """The number of keys that were read from the cache."""
    misses: int
    """The number of keys that were not in the cache, and were read by SQLite."""
    drops: int
    """How often the cache was emptied, because the file was written to in another way than by single writes of this
    process."""
    size: int
    """The memory that the cache takes, in bytes."""


class Stats(NamedTuple):
    """The contents of a store."""

    path: str
    """What Store.path says."""
    file_size: int
    """The size in bytes, including the log beside the file; 0 in memory."""
    namespaces: Dict[str, NamespaceStats]
    cache: CacheStats


class Store:
    """A store. open(), open_project() and open_memory() return it. Any thread may use it at any time.

    close(), or the end of a with statement, closes it with all its namespaces, batches and watches. A store that is
    no longer referenced is closed automatically, with the last of its namespaces and watches.
    """

    __slots__ = ("_handles", "_name", "__weakref__")

    def __init__(self, handle: Any, name: str) -> None:
        self._handles = Handles(handle)
        self._name = name

    def close(self) -> None:
        """Closes the store. A second call has no effect. Calls in progress in other threads complete normally, and the
        last of them closes the file. Every later call raises InvalidError."""
        self._handles.close()

    @property
    def closed(self) -> bool:
        return self._handles.closed

    def __enter__(self) -> Store:
        self._handles.store.pointer
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<luat_kv.Store {self._name}{', closed' if self.closed else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Store cannot be copied or pickled: open it where it is needed")

    def namespace(self, name: Key) -> Namespace:
        """Returns a separate set of keys. Nothing is written until a key is put."""
        return Namespace(self._handles, name)

    def batch(self) -> Batch:
        """Begins a batch whose methods need the argument namespace."""
        return Batch(self._handles, None)

    def namespaces(self) -> List[str]:
        """Returns the names of the namespaces that have live keys, in byte order."""
        page = opened("luat_kv_page", lib.luat_kv_namespaces, lib.luat_kv_page_free, self._handles.store.pointer)
        return page_of(page, key_of).entries

    @property
    def path(self) -> str:
        """The absolute path of the database file, or "memory", or the URL of the PostgreSQL database without its
        password."""
        path: str = ffi.string(lib.luat_kv_store_path(self._handles.store.pointer)).decode()
        return path

    def stats(self) -> Stats:
        """Returns the store's contents in numbers. Counts every entry."""
        stats = opened("luat_kv_stats", lib.luat_kv_stats_read, lib.luat_kv_stats_free, self._handles.store.pointer)
        length, namespaces = ffi.new("size_t *"), {}
        for i in range(lib.luat_kv_stats_len(stats)):
            name = lib.luat_kv_stats_name(stats, i, length)
            counts = NamespaceStats(lib.luat_kv_stats_live(stats, i), lib.luat_kv_stats_expired(stats, i))
            namespaces[str(ffi.buffer(name, length[0]), "utf-8")] = counts
        path = ffi.string(lib.luat_kv_stats_path(stats)).decode()
        cache = ffi.new("luat_kv_cache_stats *")
        lib.luat_kv_stats_cache(stats, cache, ffi.sizeof(cache[0]))
        figures = CacheStats(cache.hits, cache.misses, cache.drops, cache.size)
        return Stats(path, lib.luat_kv_stats_file_size(stats), namespaces, figures)

    def sweep(self, max: Optional[int] = None) -> int:
        """Removes expired entries, at most max, and returns how many. Each write also removes a few."""
        most = 0 if max is None else as_integer(max, "max", 1, 2**64 - 1)
        return numbers(lib.luat_kv_sweep, self._handles.store.pointer, most)[0]

    def compact(self) -> None:
        """Rewrites the file without the space that removed entries have left. Writers wait meanwhile."""
        error = new_error()
        check(lib.luat_kv_compact(self._handles.store.pointer, error), error)

    def checkpoint(self) -> bool:
        """Moves the log into the file. Returns whether all of it was moved."""
        complete, error = ffi.new("int *"), new_error()
        check(lib.luat_kv_checkpoint(self._handles.store.pointer, complete, error), error)
        return bool(complete[0])

    def backup(self, path: Path) -> None:
        """Copies a file's store, as of one moment, to a file that must not exist. Others can write meanwhile."""
        error = new_error()
        check(lib.luat_kv_backup(self._handles.store.pointer, path_of(path), error), error)


CACHE_SIZE = 16 * 1024 * 1024


def _options(
    limits: Limits, durability: Durability, busy_timeout: float, readonly: bool, nowait: bool, cache_size: int
) -> Any:
    options = new_options("luat_kv_open_options", lib.luat_kv_open_options_init)
    options.limits = choice(limits, "limits", LIMITS)
    options.durability = choice(durability, "durability", DURABILITY)
    options.busy_timeout_ms = milliseconds(busy_timeout)
    if as_bool(readonly, "readonly"):
        options.flags |= lib.LUAT_KV_OPEN_READONLY
    if as_bool(nowait, "nowait") or not options.busy_timeout_ms:
        options.flags |= lib.LUAT_KV_OPEN_NOWAIT
    options.cache_size = as_integer(cache_size, "cache_size", 0, 2**64 - 1)
    if not options.cache_size:
        options.flags |= lib.LUAT_KV_OPEN_NO_CACHE
    return options


def _open(function: Any, name: Optional[str], *arguments: Any) -> Store:
    handle = opened("luat_kv_store", function, lib.luat_kv_close, *arguments)
    # A URL that was given may contain a password. The library does not return that.
    return Store(handle, repr(ffi.string(lib.luat_kv_store_path(handle)).decode()) if name is None else name)


def open(
    url: Path,
    *,
    limits: Limits = "default",
    durability: Durability = "normal",
    busy_timeout: float = 5.0,
    readonly: bool = False,
    nowait: bool = False,
    cache_size: int = CACHE_SIZE,
) -> Store:
    """Opens the store that a URL or a path names.

    url           "postgresql://user@host/database", also with "postgres:", is a PostgreSQL database: a connection URI of
                  libpq. The server decides about durability, and there is no cache, so durability="full" and a
                  cache_size raise InvalidError. No error contains the password.
                  "file:///srv/kv.db" and "file:kv.db" are database files, in which "%20" is a space, and a str without a
                  scheme is the path of one. If it is missing, it is created, with its folders.
                  "memory:" is a new store, like that of open_memory().
                  Any other scheme raises InvalidError, so a path with a colon in its first part begins with "./".
                  Bytes and path-like objects are always paths.
    limits        "default", or "cloudflare" for the limits of Cloudflare Workers KV.
    durability    "normal": a power failure may lose the last writes; "full": it does not, with an fsync for each write.
    busy_timeout  how long to wait for other processes, in seconds; 0 is the same as nowait.
    readonly      open a file that exists, and never write to it.
    nowait        do not wait for other processes at all.
    cache_size    how much memory the cache of values may take, in bytes, at most the memory of the machine; 0: there is
                  none. The stores on one file share one cache, with the size of the first that reads.
    """
    options = _options(limits, durability, busy_timeout, readonly, nowait, cache_size)
    if isinstance(url, str):
        return _open(lib.luat_kv_open_url, None, path_of(url), options)
    return _open(lib.luat_kv_open, repr(url), path_of(url), options)


def open_project(
    dir: Optional[Path] = None,
    *,
    limits: Limits = "default",
    durability: Durability = "normal",
    busy_timeout: float = 5.0,
    readonly: bool = False,
    nowait: bool = False,
    cache_size: int = CACHE_SIZE,
) -> Store:
    """Opens the store of the Luat project that contains a folder, by default the working directory. The other arguments
    are those of open()."""
    options = _options(limits, durability, busy_timeout, readonly, nowait, cache_size)
    where = ffi.NULL if dir is None else path_of(dir, "dir")
    return _open(lib.luat_kv_open_project, f"of the project in {'.' if dir is None else dir!r}", where, options)


def open_memory(*, limits: Limits = "default") -> Store:
    """Creates an empty store in memory, which is lost when it is closed."""
    return _open(lib.luat_kv_open_memory, "in memory", _options(limits, "normal", 5.0, False, False, CACHE_SIZE))
