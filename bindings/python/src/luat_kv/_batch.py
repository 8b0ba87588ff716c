"""Changes that are applied all together or not at all."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Optional

from ._arguments import Key, as_integer, incr_options, put_options, utf8, value_of
from ._base import NamespaceBase
from ._errors import ConflictError, InvalidError
from ._handles import Handles, check, ffi, lib, new_error, opened

if TYPE_CHECKING:
    from ._arguments import Value


class Batch:
    """Changes to namespaces of one store, which commit() applies in their order in one transaction.

    The methods return the batch itself, so calls can be chained. The argument namespace is by default the namespace
    whose batch() has created the batch. A with statement commits the batch at its end, or discards it after an
    exception; a condition that does not hold then raises ConflictError.
    """

    __slots__ = ("_handle", "_default", "_lock", "_ended", "__weakref__")

    def __init__(self, handles: Handles, default: Optional[NamespaceBase]) -> None:
        self._default = default
        # In the library, a batch may be used by one thread at a time.
        self._lock = threading.RLock()
        self._ended = False
        batch = opened("luat_kv_batch", lib.luat_kv_batch_open, lib.luat_kv_batch_free, handles.store.pointer)
        self._handle = handles.hold(batch)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Batch cannot be copied or pickled")

    def _add(self, function: Any, namespace: Optional[NamespaceBase], key: Key, *arguments: Any) -> Batch:
        namespace = namespace if namespace is not None else self._default
        if namespace is None:
            raise TypeError("a batch of a store needs the argument namespace")
        raw, error = utf8(key), new_error()
        with self._lock:
            check(function(self._handle.pointer, _pointer(namespace), raw, len(raw), *arguments, error), error)
        return self

    def check(self, key: Key, version: Optional[str], *, namespace: Optional[NamespaceBase] = None) -> Batch:
        """Adds the condition that the key still has this version or, with None, is still missing."""
        raw = b"" if version is None else utf8(version, "a version")
        if version is not None and not raw:
            raise InvalidError("a version is not empty: None says that the key must be missing")
        return self._add(lib.luat_kv_batch_check, namespace, key, raw, len(raw))

    def put(
        self,
        key: Key,
        value: Value,
        *,
        expiration: Optional[int] = None,
        expiration_ttl: Optional[int] = None,
        metadata: object = None,
        namespace: Optional[NamespaceBase] = None,
    ) -> Batch:
        """Adds a Namespace.put(). The value is copied; a lifetime begins with the commit."""
        data, size = value_of(value)
        options, _kept = put_options(expiration, expiration_ttl, metadata)
        return self._add(lib.luat_kv_batch_put, namespace, key, data, size, options)

    def delete(self, key: Key, *, namespace: Optional[NamespaceBase] = None) -> Batch:
        """Adds a Namespace.delete()."""
        return self._add(lib.luat_kv_batch_delete, namespace, key)

    def incr(
        self,
        key: Key,
        by: int = 1,
        *,
        initial: int = 0,
        expiration: Optional[int] = None,
        expiration_ttl: Optional[int] = None,
        namespace: Optional[NamespaceBase] = None,
    ) -> Batch:
        """Adds a Namespace.incr(). If the key's value is not an integer, the commit fails."""
        options = incr_options(initial, expiration, expiration_ttl)
        return self._add(lib.luat_kv_batch_incr, namespace, key, as_integer(by, "by"), options)

    def commit(self) -> Optional[str]:
        """Applies all changes, and returns the version of the stored entries. If a condition does not hold, applies
        none and returns None. After an error the batch is unchanged, and can be committed again."""
        error, length = new_error(), ffi.new("size_t *")
        with self._lock:
            handle = self._handle.pointer
            status = check(lib.luat_kv_batch_commit(handle, error), error)
            self._ended = True
            if status == lib.LUAT_KV_CONFLICT:
                return None
            version = lib.luat_kv_batch_version(handle, length)
            return str(ffi.buffer(version, length[0]), "ascii")

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is None and not self._ended and self.commit() is None:
            raise ConflictError("a condition of the batch did not hold, and nothing was changed")


def _pointer(namespace: NamespaceBase) -> Any:
    try:
        handle = namespace._handle
    except AttributeError:
        raise TypeError(f"namespace must be a Namespace, not {type(namespace).__name__}") from None
    return handle.pointer
