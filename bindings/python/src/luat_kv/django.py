"""A cache for Django in a file, for all processes of a site. Sessions may use it as Django's cache backends.

    CACHES = {
        "default": {
            "BACKEND": "luat_kv.django.Cache",
            "LOCATION": BASE_DIR / "data" / "kv.db",
            "OPTIONS": {"namespace": "cache"},
        }
    }

It needs Django.
"""

import math
import pickle
import time
from threading import Lock
from typing import Any, Dict, Iterable, List, Optional

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from ._caches import dumps_integer, get_many, has_end
from ._errors import InvalidError
from ._namespace import Namespace
from ._store import Store, open

# The stores of this process, by path and options. Each thread and each cache that names the same ones has the same one.
_stores: Dict[str, Store] = {}
_lock = Lock()


class Cache(BaseCache):  # type: ignore[misc]  # Django has no types
    """LOCATION is the path of the database, which is opened by the first use in a process, and created if it is missing.
    OPTIONS has `namespace` ("cache" if it is left out), and `busy_timeout` in seconds. clear() removes all keys of the
    namespace, whatever their version and KEY_PREFIX. MAX_ENTRIES and CULL_FREQUENCY have no effect: only what has
    expired is removed.

    A value is pickled, except an integer of 64 bits, which is stored as text. A timeout is in whole seconds; an end after the
    year 9999 is none. incr() loses nothing beside other processes.
    """

    def __init__(self, location: Any, params: Dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS", {}))
        options.pop("MAX_ENTRIES", None)
        options.pop("CULL_FREQUENCY", None)
        self._path = str(location)
        self._name = options.pop("namespace", "cache")
        self._opening = options
        self._place = repr((self._path, sorted(options.items())))
        self._opened: Optional[Namespace] = None

    @property
    def _namespace(self) -> Namespace:
        if self._opened is None:
            with _lock:
                store = _stores.get(self._place)
                if store is None or store.closed:
                    store = _stores[self._place] = open(self._path, **self._opening)
            self._opened = store.namespace(self._name)
        return self._opened

    def _ttl(self, timeout: Any) -> Optional[int]:
        """Returns the seconds until a value expires; None: never; 0: it has expired already."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        if timeout is None or timeout == math.inf:
            return None
        seconds = int(timeout)
        return max(0, seconds) if has_end(seconds) else None

    def get(self, key: Any, default: Any = None, version: Optional[int] = None) -> Any:
        value = self._namespace.get(self.make_and_validate_key(key, version=version))
        return default if value is None else _loads(value)

    def get_many(self, keys: Iterable[Any], version: Optional[int] = None) -> Dict[Any, Any]:
        names = {self.make_and_validate_key(key, version=version): key for key in keys}
        return {names[name]: _loads(value) for name, value in get_many(self._namespace, names).items()}

    def has_key(self, key: Any, version: Optional[int] = None) -> bool:
        return self.make_and_validate_key(key, version=version) in self._namespace

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> None:
        name, ttl = self.make_and_validate_key(key, version=version), self._ttl(timeout)
        data = _dumps(value)
        if ttl == 0:
            self._namespace.delete(name)
        else:
            self._namespace.put(name, data, expiration_ttl=ttl)

    def set_many(
        self, data: Dict[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None
    ) -> List[Any]:
        """Stores all of the values, or none."""
        ttl = self._ttl(timeout)
        with self._namespace.batch() as batch:
            for key, value in data.items():
                name = self.make_and_validate_key(key, version=version)
                if ttl == 0:
                    batch.delete(name)
                else:
                    batch.put(name, _dumps(value), expiration_ttl=ttl)
        return []

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> bool:
        name, ttl = self.make_and_validate_key(key, version=version), self._ttl(timeout)
        data = _dumps(value)
        if ttl == 0:
            return name not in self._namespace
        return self._namespace.add(name, data, expiration_ttl=ttl) is not None

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None) -> bool:
        name, ttl = self.make_and_validate_key(key, version=version), self._ttl(timeout)
        if ttl == 0:
            return self._namespace.delete(name)
        return self._namespace.touch(name, expiration_ttl=ttl)

    def incr(self, key: Any, delta: int = 1, version: Optional[int] = None) -> Any:
        name = self.make_and_validate_key(key, version=version)
        while (entry := self._namespace.get_entry(name)) is not None:
            total = _loads(entry.value) + delta
            batch = self._namespace.batch().check(name, entry.version)
            try:
                if batch.put(name, _dumps(total), expiration=entry.expiration).commit() is not None:
                    return total  # nobody else has changed it meanwhile
            except InvalidError:
                if entry.expiration is None or entry.expiration > time.time():
                    raise
                # It has expired meanwhile, so the next look finds nothing.
        raise ValueError(f"Key '{name}' not found")

    def delete(self, key: Any, version: Optional[int] = None) -> bool:
        return self._namespace.delete(self.make_and_validate_key(key, version=version))

    def delete_many(self, keys: Iterable[Any], version: Optional[int] = None) -> None:
        with self._namespace.batch() as batch:
            for key in keys:
                batch.delete(self.make_and_validate_key(key, version=version))

    def clear(self) -> None:
        self._namespace.clear()


def _dumps(value: Any) -> bytes:
    return dumps_integer(value) or pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _loads(data: bytes) -> Any:
    try:
        return int(data)
    except ValueError:
        return pickle.loads(data)
