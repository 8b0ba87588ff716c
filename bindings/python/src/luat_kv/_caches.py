"""What the adapters for cachelib and Django share."""

from __future__ import annotations

import time
from itertools import islice
from typing import Dict, Iterable

from ._namespace import Namespace

# The last second of the year 9999, less the second that a lifetime may be rounded up by.
_LAST = 253402300799 - 1
# How many keys are read at once: as many as the limits of Workers KV allow.
_AT_ONCE = 100


def has_end(seconds: float) -> bool:
    """Whether a lifetime ends before the year 10000. Caches take any, and the store says what looks like a mistake."""
    return seconds < _LAST - time.time()


def get_many(namespace: Namespace, keys: Iterable[str]) -> Dict[str, bytes]:
    """Reads any number of keys, each step from one moment."""
    values: Dict[str, bytes] = {}
    rest = iter(keys)
    while step := list(islice(rest, _AT_ONCE)):
        values.update(namespace.get_many(step))
    return values


def dumps_integer(value: object) -> bytes:
    """Returns an integer of 64 bits as text, so that it can be counted; else nothing."""
    # A bool is no integer here: it comes back as what it was.
    return b"%d" % value if type(value) is int and -(2**63) <= value < 2**63 else b""
