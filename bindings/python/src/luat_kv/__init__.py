"""A key-value store in one file, with the API of Cloudflare Workers KV.

    with luat_kv.open("kv.db") as store:
        users = store.namespace("users")
        users["user:1"] = b"Alice"

The package needs the library libluat_kv, in the system's folders for libraries or at the path in LUAT_KV_LIBRARY.
"""

from ._batch import Batch
from ._entries import Change, Entry, KeyInfo, Page
from ._errors import (
    BusyError,
    ConflictError,
    CorruptError,
    Error,
    InternalError,
    InvalidError,
    IoError,
    LimitError,
    NoMemoryError,
    PanicError,
    ReadonlyError,
)
from ._library import version as library_version
from ._namespace import Namespace
from ._store import CacheStats, NamespaceStats, Stats, Store, open, open_memory, open_project
from ._transfer import Imported
from ._watch import Watch

__version__ = "0.1.0"
__all__ = [
    "Batch",
    "BusyError",
    "CacheStats",
    "Change",
    "ConflictError",
    "CorruptError",
    "Entry",
    "Error",
    "Imported",
    "InternalError",
    "InvalidError",
    "IoError",
    "KeyInfo",
    "LimitError",
    "Namespace",
    "NamespaceStats",
    "NoMemoryError",
    "Page",
    "PanicError",
    "ReadonlyError",
    "Stats",
    "Store",
    "Watch",
    "__version__",
    "library_version",
    "open",
    "open_memory",
    "open_project",
]
