"""Exports and imports: a namespace as JSON."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, Optional, Union

from ._arguments import FORMATS, as_bool, as_integer, choice, path_of
from ._base import NamespaceBase
from ._handles import lib, numbers

if TYPE_CHECKING:
    from ._arguments import Path


class Imported(NamedTuple):
    """The result of an import."""

    stored: int
    skipped: int
    """The number of entries that had expired, or whose keys existed and were not replaced."""


class Transfers(NamespaceBase):
    """The part of a Namespace that reads and writes files."""

    __slots__ = ()

    def export(self, target: Union[Path, int, BinaryIO], *, format: Literal["json", "jsonl"] = "json") -> int:
        """Writes all live entries, as of one moment, to a path, a binary file or a descriptor, as Wrangler's bulk JSON
        or as JSON Lines. Returns how many. A file at a path has the mode 0600, and appears when it is complete."""
        handle, number = self._handle.pointer, choice(format, "format", FORMATS)
        fd = _descriptor(target)
        if fd is None:
            return numbers(lib.luat_kv_export, handle, path_of(target), number)[0]  # type: ignore[arg-type]
        if not isinstance(target, int):
            target.flush()  # type: ignore[union-attr]
        return numbers(lib.luat_kv_export_fd, handle, fd, number)[0]

    def import_(self, source: Union[Path, int, BinaryIO], *, replace: bool = False) -> Imported:
        """Stores all entries of an export from a path, a binary file or a descriptor. After an error none is stored."""
        handle = self._handle.pointer
        flags = lib.LUAT_KV_IMPORT_REPLACE if as_bool(replace, "replace") else 0
        fd = _descriptor(source)
        if fd is None:
            path = path_of(source)  # type: ignore[arg-type]
            return Imported(*numbers(lib.luat_kv_import, handle, path, flags, outs=2))
        if isinstance(source, int) or not source.seekable():  # type: ignore[union-attr]
            return Imported(*numbers(lib.luat_kv_import_fd, handle, fd, flags, outs=2))
        # A buffered file may have read ahead, so its descriptor is at another position.
        os.lseek(fd, source.tell(), os.SEEK_SET)  # type: ignore[union-attr]
        imported = Imported(*numbers(lib.luat_kv_import_fd, handle, fd, flags, outs=2))
        source.seek(0, os.SEEK_END)  # type: ignore[union-attr]
        return imported


def _descriptor(place: Any) -> Optional[int]:
    """Returns the descriptor of a file, a descriptor itself, or None for a path."""
    if isinstance(place, int):
        return as_integer(place, "a descriptor", 0, 2**31 - 1)
    if not hasattr(place, "fileno"):
        return None
    if isinstance(place, io.TextIOBase):
        raise TypeError("a file must be open in binary mode")
    return int(place.fileno())
