"""Checks arguments, and converts them for the library."""

from __future__ import annotations

import json
import operator
import os
import re
from typing import TYPE_CHECKING, Any, Iterable, Mapping, NamedTuple, NoReturn, Optional, Union

from ._errors import InvalidError
from ._library import ffi, lib

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Value = Union[str, Buffer]
    Path = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]

Key = Union[str, bytes]

INT64 = (-(2**63), 2**63 - 1)
FORMATS = {"json": lib.LUAT_KV_FORMAT_JSON, "jsonl": lib.LUAT_KV_FORMAT_JSON_LINES}
LIMITS = {"default": lib.LUAT_KV_LIMITS_DEFAULT, "cloudflare": lib.LUAT_KV_LIMITS_CLOUDFLARE}
DURABILITY = {"normal": lib.LUAT_KV_DURABILITY_NORMAL, "full": lib.LUAT_KV_DURABILITY_FULL}


def utf8(text: Key, what: str = "a key") -> bytes:
    """Returns the bytes of a key, a name or a prefix. The library checks them, also for lone surrogates."""
    if isinstance(text, str):
        try:
            return str.encode(text)
        except UnicodeEncodeError:
            return str.encode(text, "utf-8", "surrogatepass")
    if isinstance(text, bytes):
        return text
    raise TypeError(f"{what} must be str or bytes, not {type(text).__name__}")


def value_of(value: Value) -> tuple[Any, int]:
    """Returns a pointer to a value's bytes, and their number. Only a str is copied."""
    if isinstance(value, bytes):
        return value, len(value)
    if isinstance(value, str):
        encoded = str.encode(value)
        return encoded, len(encoded)
    try:
        view = ffi.from_buffer("uint8_t[]", value)
    except TypeError:
        raise TypeError(f"a value must be str, bytes or another buffer, not {type(value).__name__}") from None
    return view, len(view)


def path_of(path: Path, what: str = "path") -> bytes:
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise InvalidError(f"{what} must not contain a NUL")
    return encoded


def as_integer(number: int, what: str, low: int = INT64[0], high: int = INT64[1]) -> int:
    """Checks an integer in a range: an int, or an object with __index__ (numpy's integers). A float is an error, even
    1.0, and so is a bool, although it is an int in Python."""
    try:
        if isinstance(number, bool):
            raise TypeError
        number = operator.index(number)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(number).__name__}") from None
    if not low <= number <= high:
        # Python does not print a number of thousands of digits.
        shown = number if -(2**64) <= number <= 2**64 else "a number of %d bits" % number.bit_length()
        raise InvalidError(f"{what} must be from {low} to {high}, not {shown}")
    return number


def as_bool(flag: bool, what: str) -> bool:
    if not isinstance(flag, bool):
        raise TypeError(f"{what} must be a bool, not {type(flag).__name__}")
    return flag


def choice(name: str, what: str, choices: Mapping[str, int]) -> int:
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a str, not {type(name).__name__}")
    if name not in choices:
        raise InvalidError(f"{what} must be {' or '.join(map(repr, choices))}, not {name[:40]!r}")
    return choices[name]


def milliseconds(seconds: float, what: str = "busy_timeout") -> int:
    """Converts a timeout to milliseconds, rounded up: a busy timeout of 0 has to be passed as a flag."""
    if isinstance(seconds, bool) or not (isinstance(seconds, float) or hasattr(seconds, "__index__")):
        raise TypeError(f"{what} must be a number of seconds, not {type(seconds).__name__}")
    most = 2**32 - 1
    if not isinstance(seconds, float):
        seconds = as_integer(seconds, what, 0, most // 1000)
    if not 0 <= seconds <= most / 1000:
        raise InvalidError(f"{what} must be from 0 to {most / 1000} seconds, not {seconds}")
    return min(-int(-seconds * 1000 // 1), most)


def to_json(value: object) -> bytes:
    """Returns a value as JSON in UTF-8. A value that JSON cannot represent is an error. A lone surrogate is a
    UnicodeEncodeError, as in a value that is a str."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def from_json(data: bytes) -> Any:
    """Parses JSON as strictly as the store's other bindings: in UTF-8 without a byte order mark, and without NaN and
    Infinity, which the module json accepts. Raises json.JSONDecodeError."""
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        shown, valid = str(data, "utf-8", "replace"), str(data[: error.start], "utf-8")
        raise json.JSONDecodeError("Not UTF-8", shown, len(valid)) from None
    if text.startswith("\ufeff"):
        raise json.JSONDecodeError("Unexpected byte order mark", text, 0)
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError:
        raise
    except _ConstantError as error:
        at = next(found.start() for found in _CONSTANTS.finditer(text) if found[0][0] != '"')
        raise json.JSONDecodeError(f"{error} is not JSON", text, at) from None
    except (RecursionError, ValueError) as error:  # nested too deep, or with a number of thousands of digits
        raise json.JSONDecodeError(str(error), text, 0) from None


class _ConstantError(Exception):
    """NaN, Infinity or -Infinity, which Python's json would accept as a number."""


def _refuse_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_CONSTANTS = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')


def bound(text: Optional[Key], what: str) -> Optional[bytes]:
    """Returns the bytes of a bound or a cursor of a list. An empty one is an error: None means that there is none."""
    if text is None:
        return None
    raw = utf8(text, what)
    if not raw:
        raise InvalidError(f"{what} is empty; leave it out, or pass None, where there is none")
    return raw


class Range(NamedTuple):
    """A range of keys, and the direction. Bounds are in byte order for both directions."""

    prefix: Key = b""
    start: Key = b""
    stop: Optional[bytes] = None
    reverse: bool = False

    def has(self, key: Key) -> bool:
        raw, prefix, start = utf8(key), utf8(self.prefix, "prefix"), utf8(self.start, "start")
        return raw.startswith(prefix) and start <= raw and (self.stop is None or raw < self.stop)

    def back(self) -> Range:
        return self._replace(reverse=not self.reverse)


def range_of(prefix: Key, start: Key, stop: Optional[Key], reverse: bool) -> Range:
    return Range(prefix, start, bound(stop, "stop"), reverse)


def lifetime(expiration: Optional[int], expiration_ttl: Optional[int]) -> tuple[int, int]:
    """Returns both values for the library. There 0 means that a value is not set, so 0 is an error for the caller."""
    return (
        0 if expiration is None else as_integer(expiration, "expiration", 1),
        0 if expiration_ttl is None else as_integer(expiration_ttl, "expiration_ttl", 1),
    )


def new_options(what: str, init: Any) -> Any:
    options = ffi.new(what + " *")
    init(options, ffi.sizeof(what))
    return options


def put_options(expiration: Optional[int], expiration_ttl: Optional[int], metadata: object) -> tuple[Any, Any]:
    """Returns a luat_kv_put_options, or NULL, and an object that must stay alive with it."""
    if expiration is None and expiration_ttl is None and metadata is None:
        return ffi.NULL, None
    options = new_options("luat_kv_put_options", lib.luat_kv_put_options_init)
    options.expiration, options.expiration_ttl = lifetime(expiration, expiration_ttl)
    text = None if metadata is None else view(to_json(metadata), options.metadata)
    return options, text


def incr_options(initial: int, expiration: Optional[int], expiration_ttl: Optional[int]) -> Any:
    """Returns a luat_kv_incr_options, or NULL for the defaults."""
    number = as_integer(initial, "initial")
    if not number and expiration is None and expiration_ttl is None:
        return ffi.NULL
    options = new_options("luat_kv_incr_options", lib.luat_kv_incr_options_init)
    options.initial = number
    options.expiration, options.expiration_ttl = lifetime(expiration, expiration_ttl)
    return options


def keys_of(keys: Iterable[Key], takers: str) -> tuple[Any, int, Any]:
    """Returns an array of luat_kv_bytes, its length, and an object that must stay alive as long as the array."""
    if isinstance(keys, (str, bytes)):
        raise TypeError(f"{takers} keys, not one key")
    wanted = [utf8(key) for key in keys]
    table = ffi.new("luat_kv_bytes[]", len(wanted))
    return table, len(wanted), [view(raw, table[i]) for i, raw in enumerate(wanted)]


def view(data: bytes, into: Any) -> Any:
    """Sets a luat_kv_bytes to bytes. Returns an object that must stay alive with it."""
    kept = ffi.from_buffer("uint8_t[]", data)
    into.data, into.len = kept, len(data)
    return kept
