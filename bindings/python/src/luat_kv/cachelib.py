"""A cache for cachelib, and so for Flask-Session and Flask-Caching, in a namespace of a store.

    from luat_kv.cachelib import Cache

    store = luat_kv.open("kv.db")
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=Cache(store.namespace("sessions")))

It needs the package cachelib.
"""

import math
import pickle
from typing import Any, Dict, List, Optional

from cachelib.base import BaseCache
from cachelib.serializers import RedisSerializer

from ._namespace import Namespace


class Serializer(RedisSerializer):
    """Pickles a value, except an integer of 64 bits, which is stored as text."""

    def dumps(self, value: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> bytes:
        # A bool is no integer here: it comes back as what it was.
        if type(value) is int and -(2**63) <= value < 2**63:
            return b"%d" % value
        return super().dumps(value, protocol)


class Cache(BaseCache):
    """The namespace belongs to the cache: clear() removes all of its keys. inc() and dec() lose nothing beside other
    processes, and leave the expiration.

    default_timeout is in seconds, and 0 means that a value does not expire, as everywhere in cachelib. A fraction of a
    second counts as a whole one. A cached value takes up to 25 MiB.
    """

    serializer: Any = Serializer()

    def __init__(self, namespace: Namespace, default_timeout: int = 300) -> None:
        super().__init__(default_timeout)
        self._namespace = namespace

    def _ttl(self, timeout: Optional[float]) -> Optional[int]:
        seconds = self.default_timeout if timeout is None else timeout
        return math.ceil(seconds) if seconds > 0 else None

    def get(self, key: str) -> Any:
        value = self._namespace.get(_text(key))
        return None if value is None else self.serializer.loads(value)

    def get_many(self, *keys: str) -> List[Any]:
        values = self._namespace.get_many(map(_text, keys))
        return [self.serializer.loads(values[key]) if key in values else None for key in map(_text, keys)]

    def has(self, key: str) -> bool:
        return _text(key) in self._namespace

    def set(self, key: str, value: Any, timeout: Optional[int] = None) -> bool:
        self._namespace.put(_text(key), self.serializer.dumps(value), expiration_ttl=self._ttl(timeout))
        return True

    def add(self, key: str, value: Any, timeout: Optional[int] = None) -> bool:
        ttl = self._ttl(timeout)
        return self._namespace.add(_text(key), self.serializer.dumps(value), expiration_ttl=ttl) is not None

    def set_many(self, mapping: Dict[str, Any], timeout: Optional[int] = None) -> List[Any]:
        """Stores all of the values, or none."""
        ttl = self._ttl(timeout)
        with self._namespace.batch() as batch:
            for key, value in mapping.items():
                batch.put(_text(key), self.serializer.dumps(value), expiration_ttl=ttl)
        return list(mapping)

    def delete(self, key: str) -> bool:
        return self._namespace.delete(_text(key))

    def clear(self) -> bool:
        self._namespace.clear()
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        return self._namespace.incr(_text(key), delta)

    def dec(self, key: str, delta: int = 1) -> int:
        return self._namespace.incr(_text(key), -delta)


def _text(key: Any) -> str:
    """Returns the key as text: Flask's own may be functions."""
    return key if isinstance(key, str) else str(key)
