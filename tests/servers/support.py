"""What the tests of web servers share: the blocks of code of a page, a folder in which a server runs by them, and load."""

import contextlib
import http.client
import os
import pwd
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IS_ROOT = os.getuid() == 0
PATIENCE = 60  # seconds for what always happens: it is only reached if something is broken

# The runner ends a suite that takes too long by SIGTERM. Servers, which have groups of their own, are stopped then too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def blocks(page):
    """The blocks of code of a page: a dict from what stands after their ``` to their text."""
    text = (ROOT / "docs/hosts" / page).read_text()
    found = re.findall(r"^```(\w+ [^\n]+)\n(.*?)^```$", text, re.M | re.S)
    return dict(found)


def wait_for(what, condition):
    """Returns what a function returns, once that is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"after {PATIENCE} seconds there is still not: {what}")


class Tests:
    """Runs functions as the tests of a TAP stream, in their order."""

    def __init__(self):
        self.number = self.failed = 0

    def run(self, function, *arguments):
        """Runs a function, whose documentation is the test's name, and returns its result."""
        self.number += 1
        name = function.__doc__.strip().rstrip(".")
        try:
            result = function(*arguments)
            print(f"ok {self.number} - {name}", flush=True)
            return result
        except Exception:
            self.failed += 1
            print(f"not ok {self.number} - {name}")
            print(re.sub("^", "# ", traceback.format_exc().strip(), flags=re.M), flush=True)

    def finish(self):
        print(f"1..{self.number}")
        sys.exit(1 if self.failed else 0)


class Site:
    """A folder that stands for the root folder of a machine. Paths of the page lie in it: see `here`."""

    def __init__(self, page, user):
        self.blocks = blocks(page)
        self.user = user  # who answers requests, if root runs this
        self.root = Path(tempfile.mkdtemp(prefix="luat_kv."))
        self.root.chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.output = self.root / "output"
        self.process = None

    def here(self, text, keep=()):
        """A configuration or command of the page for this folder and this port. It is otherwise as it stands there."""
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}").replace("sudo ", "")
        for folder in ("/var/lib", "/usr/local", "/srv/site", "/etc", "/run", "/var/log", "/var/run", "/var/lock"):
            if folder not in keep:
                text = re.sub(rf"(?<![\w.}}]){folder}(?=/|\b)", f"{self.root}{folder}", text)
        return text

    def write(self, path, text):
        path = self.root / path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run_block(self, name):
        """Runs commands of the page, as one who has root's rights or at least needs none."""
        commands = self.here(self.blocks[name])
        if not IS_ROOT:
            commands = re.sub(r" -[og] \S+", "", commands)
        subprocess.run(["sh", "-ec", commands], cwd=ROOT, check=True)

    # The server -----------------------------------------------------------------------------------

    def start(self, command, **environment):
        # A group of its own, so that nothing of it is left at the end.
        self.process = subprocess.Popen(
            command, stdout=self.output.open("ab"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **environment}, start_new_session=True, cwd=self.root)
        wait_for("a server that takes connections", self.is_up)

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server has ended with {self.process.returncode}:\n{self.output.read_text()}")
        return self.takes_connections()

    def takes_connections(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            wait_for("a port that nobody listens on", lambda: not self.takes_connections())

    def cleanup(self):
        self.stop()
        shutil.rmtree(self.root)

    def workers(self):
        """The processes that answer requests, as far as they do so: children of the one that was started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def kill_a_worker(self):
        """Kills a worker that has the store open."""
        worker = wait_for("a worker with the store", lambda: self.workers_with_store())[0]
        os.kill(worker, signal.SIGKILL)

    def workers_with_store(self):
        return [worker for worker in self.workers() if any(name.endswith("kv.db") for name in descriptors(worker))]

    # Requests -------------------------------------------------------------------------------------

    def get(self, path, cookie=None, address="127.0.0.1"):
        """A request on a connection of its own: its status, text and cookie."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE, source_address=(address, 0))
        with contextlib.closing(connection):
            connection.request("GET", path, headers={} if cookie is None else {"Cookie": cookie})
            response = connection.getresponse()
            text = response.read().decode()
            return response.status, text.strip(), (response.headers["Set-Cookie"] or "").partition(";")[0]


def descriptors(process):
    """The files that a process has open."""
    names = []
    with contextlib.suppress(FileNotFoundError, PermissionError):
        for link in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                names.append(os.readlink(link))
    return names


def at_once(functions):
    """Calls functions in threads of their own at the same time, and returns their results."""
    barrier = threading.Barrier(len(functions))

    def run(function):
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(run, functions))


class Client(threading.Thread):
    """Counts visits, over a connection that is kept, until it has been answered often enough, and `goes_on` is not set."""

    def __init__(self, port, visits, goes_on=None):
        super().__init__(daemon=True)
        self.port, self.visits = port, visits
        self.goes_on = goes_on or threading.Event()
        self.answered, self.unknown, self.wrong = [], 0, []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        while (len(self.answered) < self.visits or self.goes_on.is_set()) and not self.wrong:
            try:
                connection.connect() if connection.sock is None else None
            except OSError:  # nothing was sent
                time.sleep(0.02)
                continue
            try:
                connection.request("GET", "/visits")
                response = connection.getresponse()
                text = response.read().decode()
            except (OSError, http.client.HTTPException):  # it may have been counted
                self.unknown += 1
                connection.close()
                continue
            if response.status == 200:
                self.answered.append(int(text))
            else:
                self.wrong.append((response.status, text))


# Another program on the same file: Lua 5.3, which may wait.
COUNT = """
local KV = require("luat_kv")
local counters = KV.open({ path = arg[1], busy_timeout = 60 }):namespace("counters")
for _ = 1, tonumber(arg[2]) do counters:incr("visits") end
print(counters:get("visits") or 0)
"""


def count_by_another_program(site, file, times):
    """Makes so many visits in another process of the same user, and returns the counter."""
    def become_user():
        if IS_ROOT:
            entry = pwd.getpwnam(site.user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)

    module = site.root / "other/luat_kv.so"
    if not module.exists():
        module.parent.mkdir()
        shutil.copy(ROOT / "target/lua/5.3/luat_kv.so", module)
    path = f"{module.parent}/?.so"
    done = subprocess.run(["lua5.3", "-", file, str(times)], input=COUNT, text=True, capture_output=True, cwd=site.root,
                          preexec_fn=become_user, env={**os.environ, "LUA_CPATH": path, "LUA_CPATH_5_3": path})
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def check_counter(site, file, faults, clients=6, visits=250, others=300):
    """No visit is lost while workers are killed, the server is reloaded, and another program counts too."""
    before = count_by_another_program(site, file, 0)
    faults_go_on = threading.Event()
    faults_go_on.set()
    threads = [Client(site.port, visits, faults_go_on) for _ in range(clients)]
    other = threading.Thread(target=lambda: count_by_another_program(site, file, others))
    for thread in [*threads, other]:
        thread.start()
    try:
        for i, fault in enumerate(faults, 1):
            enough = clients * visits * i // (len(faults) + 1)
            wait_for(f"{enough} visits", lambda: any(each.wrong for each in threads)
                     or sum(len(each.answered) for each in threads) >= enough)
            fault()
    finally:
        faults_go_on.clear()
        for thread in [*threads, other]:
            thread.join()
    assert not any(each.wrong for each in threads), [each.wrong for each in threads]
    answered = [number for each in threads for number in each.answered]
    unknown = sum(each.unknown for each in threads)
    assert len(answered) >= clients * visits
    assert len(set(answered)) == len(answered), "two visits have the same number"
    counted = count_by_another_program(site, file, 0) - before
    lost = len(answered) + others - counted
    assert lost <= 0, f"{lost} visits are lost"
    assert -lost <= unknown, f"{-lost} visits were counted that nobody made, and {unknown} were not answered"
    print(f"# {counted} visits, {unknown} requests without an answer")


def check_session(site):
    """A session is found by every worker, and only by its cookie."""
    status, text, cookie = site.get("/login?user=alice", address="127.0.0.3")
    assert (status, text) == (200, "welcome, alice"), (status, text)
    assert re.fullmatch("session=[0-9a-f]{32}", cookie), cookie
    for _ in range(20):
        assert site.get("/me", cookie)[:2] == (200, "you are alice")
    for wrong in (None, "", "session=", "session=" + "0" * 32, cookie[:-1], cookie + "0", "session=" + "x" * 5000,
                  "session=" + "\xff" * 32, "session=" + "%00" * 16):
        assert site.get("/me", wrong)[0] == 401, wrong
    return cookie


def check_crashes(log):
    """No process has crashed."""
    crashes = re.findall(r".*(?:Segmentation|Aborted|Bus error|signal (?:6|7|11)\b|code 13[459]\b).*", log)
    assert not crashes, crashes


def check_logout(site, cookie):
    """A session ends by a logout."""
    assert site.get("/me", cookie)[:2] == (200, "you are alice")
    assert site.get("/logout", cookie)[:2] == (200, "goodbye")
    assert site.get("/me", cookie)[0] == 401


def check_limiter(site):
    """Of logins at the same time, the rate limiter lets 5 of an address in."""
    answers = at_once([lambda: site.get("/login?user=bob", address="127.0.0.2")[0]] * 12)
    assert sorted(answers) == [200] * 5 + [429] * 7, answers
    assert site.get("/login?user=bob", address="127.0.0.4")[0] == 200


def check_others_go_on(site, file, cookie):
    """While another process writes, changes wait and other requests are answered."""
    # Connections that are kept, and so belong to one worker each, whatever it is doing.
    readers = [http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE) for _ in range(12)]

    def read_all():
        for reader in readers:
            reader.request("GET", "/me", headers={"Cookie": cookie})
            response = reader.getresponse()
            assert (response.status, response.read()) == (200, b"you are alice\n")

    for _ in range(5):
        read_all()
        changes = [Client(site.port, 1) for _ in range(8)]
        # (The file is open in no library of this process. See docs/storage.md.)
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            start = time.monotonic()
            for change in changes:
                change.start()
            while time.monotonic() < start + 0.5:
                read_all()
            waiting = [change for change in changes if change.is_alive()]
        seconds = time.monotonic() - start
        for change in changes:
            change.join()
        if seconds < 4:  # the changes wait for 5
            assert len(waiting) == len(changes), [change.wrong for change in changes]
            assert not any(change.wrong or change.unknown for change in changes)
            for reader in readers:
                reader.close()
            return
    raise AssertionError(f"requests waited for {seconds} seconds")
