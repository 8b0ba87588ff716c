"""Makes the C library fail in the ways that docs/troubleshooting.md begins with. `messages` compares what it says."""

import ctypes
import os
import sqlite3
import subprocess
import sys
from ctypes import byref, c_char_p, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

READONLY, NOWAIT = 1, 2


class Options(ctypes.Structure):
    _fields_ = [(name, c_uint32) for name in ("size", "flags", "busy_timeout", "limits", "durability", "reserved")]
    _fields_ += [("cache_size", c_uint64)]


class Library:
    """What it does, it returns as the message of its error, or as None."""

    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        self.c.luat_kv_error_message.restype = c_char_p

    def call(self, function, *args):
        error = c_void_p()
        status = getattr(self.c, function)(*args, byref(error))
        return self.c.luat_kv_error_message(error).decode() if status < 0 else None

    def open(self, path, flags=0, by="luat_kv_open"):
        self.store = c_void_p()
        options = Options(ctypes.sizeof(Options), flags)
        return self.call(by, os.fsencode(path), byref(options), byref(self.store))

    def put(self, key=b"key", expiration=0):
        namespace = c_void_p()
        self.call("luat_kv_namespace_open", self.store, b"a", c_size_t(1), byref(namespace))
        if not expiration:
            return self.call("luat_kv_put", namespace, key, c_size_t(len(key)), b"", c_size_t(0), None)
        return self.call("luat_kv_touch", namespace, key, c_size_t(len(key)), ctypes.c_int64(expiration), ctypes.c_int64(0))


def made_by_another_program(path, close=True):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE IF NOT EXISTS mine (a)")
    other.commit()
    if close:
        other.close()
    return other


def messages(library, folder):
    """(heading, message) of each way."""
    file = folder / "kv.db"
    assert library.open(file) is None and library.put() is None
    # Another process has the file: this one may neither write to it nor look at it with another SQLite meanwhile.
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE'); print(); input()"
    writer = subprocess.Popen([sys.executable, "-c", code, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdout.readline()
    library.open(file, NOWAIT)
    yield "… was in use for …", library.put()
    writer.communicate(b"\n")
    library.open(file)
    yield "… bytes long; the limit is …", library.put(b"k" * 5000)
    yield "…; it is in seconds, and this looks like milliseconds", library.put(expiration=1_800_000_000_000)
    library.open(file, READONLY)
    yield "the store was opened for reading only", library.put()

    yield "No such file or directory", library.open(folder / "missing.db", READONLY)
    (folder / "text.db").write_text("no database, but text " * 100)
    yield "file is not a database", library.open(folder / "text.db")
    made_by_another_program(folder / "other.db")
    yield "it is another program's database: …", library.open(folder / "other.db")
    other = made_by_another_program(folder / "used.db", close=False)
    yield "another library in this process has it open", library.open(folder / "used.db")
    other.close()
    assert library.open(folder / "names.db") is None
    os.link(folder / "names.db", folder / "second.db")
    yield "it has … names (hard links), …", library.open(folder / "second.db")
    yield "the scheme of the URL is …", library.open("redis://host", by="luat_kv_open_url")

    # As another user, who has to be able to come there.
    os.chmod(folder, 0o755)
    if os.getuid() == 0 and all(os.stat(path).st_mode & 0o001 for path in folder.parents):
        (folder / "root.db").touch(0o600)
        os.seteuid(65534)
        said = library.open(folder / "root.db")
        os.seteuid(0)
        yield "user … may not read …", said
    (folder / "project").mkdir()
    (folder / "project/luat.toml").touch()
    os.chmod(folder / "project/luat.toml", 0o666)
    yield "…; if the project is to be trusted, set …", library.open(folder / "project", by="luat_kv_open_project")
