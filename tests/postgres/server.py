#!/usr/bin/env python3
"""PostgreSQL servers for tests: each in a temporary folder, on a Unix socket, by a user who is not root.

    tests/postgres/server.py --version   prints the version of the server that is found, or fails
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any, Optional

ROLE = "postgres"
# What the server promises for a power failure does not matter here, and costs most of the time.
QUICK = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}

SERVER_ENVIRONMENT: dict[str, str] = {}


def programs() -> pathlib.Path:
    """The folder of the server's programs: that of the newest version which Debian has installed, or on the PATH."""
    versions = pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(versions, key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0), default=None)
    found = newest or shutil.which("postgres")
    if not found:
        sys.exit("There is no PostgreSQL server. On Debian: apt-get install postgresql")
    return pathlib.Path(found).parent


def other_user() -> dict[str, Any]:
    """For root: the arguments of subprocess that run a command as another user, since PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def with_parent() -> None:
    """Makes the kernel end this process, which is about to start a server, when the process that started it is gone."""
    # A shell makes commands in the background ignore these, and pgbouncer would go on ignoring them.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


class Folder:
    """A temporary folder of the user who runs servers. Its path is short, since the one of a socket is limited.

    It is in memory if there is enough, unless it is to be on the disk: a suite makes a hundred databases, each of which
    has 300 files.
    """

    def __init__(self, on_disk: bool = False) -> None:
        memory = pathlib.Path("/dev/shm")
        is_large = not on_disk and memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="kv-pg.", dir=memory if is_large else "/tmp"))
        self.path.chmod(0o755)  # the tests have users of their own
        if user := other_user():
            os.chown(self.path, user["user"], user["group"])

    def clock(self) -> str:
        """Makes the clock of the servers in this folder one that tests move, and returns its file."""
        file, library = self.path / "clock", self.path / "clock.so"
        file.write_bytes(bytes(8))
        file.chmod(0o666)
        shutil.copy("target/c/clock.so", library)
        SERVER_ENVIRONMENT.update(LD_PRELOAD=str(library), TEST_CLOCK=str(file))
        return str(file)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class Process:
    """A server of any kind: it has ended when the with statement has."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.log = folder / f"{name}.log"
        self.process: Optional[subprocess.Popen[bytes]] = None

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.stop(signal.SIGQUIT)

    def run(self, *command: object, stdin: str = "") -> str:
        """Runs a program of PostgreSQL to its end, and returns what it prints."""
        words = [str(programs() / str(command[0])), *map(str, command[1:])]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, cwd=self.folder, **other_user())
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def spawn(self, words: list[str]) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                            preexec_fn=with_parent, env={**os.environ, **SERVER_ENVIRONMENT},
                                            **other_user())

    def wait_until(self, ready: Any) -> None:
        end = time.monotonic() + 60
        while not ready():
            assert self.process
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.name} is not ready: {self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT ends what it does, SIGQUIT at once, and SIGKILL kills it with all its processes."""
        process, self.process = self.process, None
        if process is None:
            return
        if how == signal.SIGKILL:
            # The others notice that it is gone, but they may finish what they do.
            process.send_signal(signal.SIGSTOP)
            for child in children(process.pid):
                os.kill(child, signal.SIGKILL)
        process.send_signal(how)
        process.wait(60)


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True)
    return [int(word) for word in listed.stdout.split()]


class Server(Process):
    """A PostgreSQL server. `settings` are those of postgresql.conf."""

    def __init__(self, folder: pathlib.Path, name: str = "server", port: int = 5432, **settings: object) -> None:
        super().__init__(folder, name)
        self.data, self.port, self.settings = folder / name, port, {**QUICK, **settings}

    def __enter__(self) -> "Server":
        self.run("initdb", "--pgdata", self.data, "--username", ROLE, "--auth=trust", "--no-sync", "--no-instructions",
                 "--encoding=UTF8", "--locale=C.UTF-8")
        self.start()
        return self

    def start(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "port": self.port, **self.settings}
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.spawn([str(programs() / "postgres"), "-D", str(self.data), *flags])
        pid_file = self.data / "postmaster.pid"
        # Its last line is the state: see CreateLockFile and AddToDataDirLockFile in PostgreSQL's miscinit.c.
        self.wait_until(lambda: pid_file.exists() and re.search(r"\n(ready|standby) *\n$", pid_file.read_text()))

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def standby(self, name: str = "standby", port: int = 5433) -> "Standby":
        """A second server, to be started by a with statement, which follows this one."""
        return Standby(self, name, port)

    def sql(self, text: str, database: str = "postgres") -> str:
        """Runs SQL by itself, in no transaction with others, and returns its rows, columns being separated by `|`."""
        return self.run("psql", "-XAtqv", "ON_ERROR_STOP=1", "-h", self.folder, "-p", self.port, "-U", ROLE, "-d",
                        database, stdin=text).strip()

    def session(self, database: str) -> "subprocess.Popen[str]":
        """A client that reads SQL from its stdin, one line after the other."""
        return subprocess.Popen([str(programs() / "psql"), "-XAtq", "-d", self.url(database)], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def database(self, name: str) -> str:
        """Makes a database, and returns its URL."""
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, database: str, role: str = ROLE) -> str:
        return f"postgresql://{role}@/{database}?host={self.folder}&port={self.port}"


class Standby(Server):
    """A streaming standby. The primary acknowledges what it has received, once it is there."""

    def __init__(self, primary: Server, name: str, port: int) -> None:
        super().__init__(primary.folder, name, port, **{**primary.settings, "hot_standby": "on"})
        self.primary = primary

    def __enter__(self) -> "Standby":
        primary = self.primary
        self.run("pg_basebackup", "-h", primary.folder, "-p", primary.port, "-U", ROLE, "-D", self.data, "-R", "-N",
                 "--checkpoint=fast", "--wal-method=stream")
        # The one that pg_basebackup has written names no application.
        self.settings["primary_conninfo"] = (
            f"host={primary.folder} port={primary.port} user={ROLE} application_name={self.name}")
        self.start()
        primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{self.name}'")
        primary.sql("SELECT pg_reload_conf()")
        self.wait_until(lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == "sync")
        return self

    def urls(self, database: str) -> str:
        """The URL of both servers, of which a client uses the one that can be written."""
        return (f"postgresql://{ROLE}@/{database}?host={self.folder},{self.folder}"
                f"&port={self.primary.port},{self.port}&target_session_attrs=read-write")

    def promote(self) -> None:
        self.run("pg_ctl", "promote", "-D", self.data, "--wait")


class Bouncer(Process):
    """A pgbouncer in transaction mode before a server."""

    def __init__(self, server: Server, port: int = 6432, **settings: object) -> None:
        super().__init__(server.folder, "pgbouncer")
        self.server, self.port, self.settings = server, port, settings

    def __enter__(self) -> "Bouncer":
        users = self.folder / "pgbouncer.users"
        users.write_text(f'"{ROLE}" ""\n')
        settings = {
            "listen_addr": "", "listen_port": self.port, "unix_socket_dir": self.folder, "pool_mode": "transaction",
            "auth_type": "trust", "auth_file": users, "admin_users": ROLE, "default_pool_size": 4,
            "max_client_conn": 200, **self.settings,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        file = self.folder / "pgbouncer.ini"
        file.write_text(f"[databases]\n* = host={self.server.folder} port={self.server.port}\n[pgbouncer]\n{lines}")
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        if not program:
            sys.exit("There is no pgbouncer. On Debian: apt-get install pgbouncer")
        self.spawn([program, str(file)])
        self.wait_until((self.folder / f".s.PGSQL.{self.port}").exists)
        return self

    def url(self, database: str) -> str:
        return f"postgresql://{ROLE}@/{database}?host={self.folder}&port={self.port}"


if __name__ == "__main__":
    if sys.argv[1:] != ["--version"]:
        sys.exit(__doc__)
    sys.exit(subprocess.run([programs() / "postgres", "--version"]).returncode)
