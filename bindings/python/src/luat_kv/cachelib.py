"""A cache for cachelib, and so for Flask-Session and Flask-Caching, in a namespace of a store.

    from luat_kv.cachelib import Cache

    store = luat_kv.open("kv.db")
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=Cache(store.namespace("sessions")))

It needs the package cachelib.
"""

import math
import pickle
from datetime import timedelta
from typing import Any, Callable, Dict, List, Optional, TypeVar, Union, cast

from cachelib.base import BaseCache
from cachelib.serializers import RedisSerializer

from ._caches import dumps_integer, get_many, has_end
from ._errors import LimitError
from ._namespace import Namespace

T = TypeVar("T")
Timeout = Union[int, float, timedelta]


class Serializer(RedisSerializer):
    """Pickles a value, except an integer of 64 bits, which is stored as text."""

    def dumps(self, value: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> bytes:
        # cachelib's own from 0.14 on has no text for integers of thousands of digits.
        return dumps_integer(value) or b"!" + pickle.dumps(value, protocol)


class Cache(BaseCache):
    """The namespace belongs to the cache: clear() removes all of its keys. inc() and dec() lose nothing beside other
    processes, and leave the expiration.

    A timeout is in seconds, or a timedelta. 0 means that a value does not expire, as everywhere in cachelib, and so does
    an end after the year 9999. With a negative one it has expired already. A fraction of a second counts as a whole one.
    A cached value takes up to 512 MiB, a key up to 4 KiB; a longer one is never found.
    """

    serializer: Any = Serializer()

    def __init__(self, namespace: Namespace, default_timeout: Timeout = 300, **options: Any) -> None:
        super().__init__(cast(int, default_timeout), **options)  # its type before cachelib 0.17, which has timedelta too
        self._namespace = namespace

    def _ttl(self, timeout: Optional[Timeout]) -> Optional[int]:
        """Returns the seconds until a value expires; None: never; 0: it has expired already."""
        seconds = self.default_timeout if timeout is None else timeout
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if seconds < 0:
            return 0
        return math.ceil(seconds) if seconds > 0 and has_end(seconds) else None

    def _find(self, function: Callable[[str], T], key: str, missing: T) -> T:
        try:
            return function(_text(key))
        except LimitError:  # such a key cannot have been stored: Flask-Session has whatever a cookie contains
            return missing

    def get(self, key: str) -> Any:
        value = self._find(self._namespace.get, key, None)
        return None if value is None else self.serializer.loads(value)

    def get_many(self, *keys: str) -> List[Any]:
        try:
            values = get_many(self._namespace, map(_text, keys))
        except LimitError:
            return [self.get(key) for key in keys]
        return [self.serializer.loads(values[key]) if key in values else None for key in map(_text, keys)]

    def has(self, key: str) -> bool:
        return self._find(self._namespace.__contains__, key, False)

    def set(self, key: str, value: Any, timeout: Optional[Timeout] = None) -> bool:
        ttl, data = self._ttl(timeout), self.serializer.dumps(value)
        if ttl == 0:
            self._namespace.delete(_text(key))
        else:
            self._namespace.put(_text(key), data, expiration_ttl=ttl)
        return True

    def add(self, key: str, value: Any, timeout: Optional[Timeout] = None) -> bool:
        ttl, data = self._ttl(timeout), self.serializer.dumps(value)
        if ttl == 0:
            return _text(key) not in self._namespace
        return self._namespace.add(_text(key), data, expiration_ttl=ttl) is not None

    def set_many(self, mapping: Dict[str, Any], timeout: Optional[Timeout] = None) -> List[Any]:
        """Stores all of the values, or none."""
        ttl = self._ttl(timeout)
        with self._namespace.batch() as batch:
            for key, value in mapping.items():
                data = self.serializer.dumps(value)
                if ttl == 0:
                    batch.delete(_text(key))
                else:
                    batch.put(_text(key), data, expiration_ttl=ttl)
        return list(mapping)

    def delete(self, key: str) -> bool:
        return self._find(self._namespace.delete, key, False)

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
