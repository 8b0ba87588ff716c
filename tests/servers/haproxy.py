#!/usr/bin/env python3
"""docs/hosts/haproxy.md: its configuration, unchanged, after Debian's own, with four threads. Prints TAP."""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import support
from support import IS_ROOT, PATIENCE, Site, Tests, wait_for


class HAProxy(Site):
    """What root runs changes its root folder and user, as the page says. Others can do neither."""

    def __init__(self):
        super().__init__("haproxy.md", "haproxy")
        self.file = self.root / "var/lib/haproxy/site/kv.db"
        self.ended, self.starts = False, 0
        self.supervisor = threading.Thread(target=self.supervise)
        # Where HAProxy tells systemd that it is ready. A signal before that is lost.
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.settimeout(PATIENCE)
        self.notices.bind(str(self.root / "notices"))

    def configure(self):
        self.run_block("sh clone")
        self.run_block("sh setup")
        for folder in ("run/haproxy", "etc/haproxy"):
            (self.root / folder).mkdir(parents=True)
        # (Debian's messages for errors, and its certificates, stay where they are.)
        debian = self.here(Path("/etc/haproxy/haproxy.cfg").read_text(), keep=["/etc"])
        page = self.here(self.blocks["haproxy haproxy.cfg"])
        code = self.here(self.blocks["lua site.lua"])
        if not IS_ROOT:
            debian = re.sub(r"^\s*(chroot|user|group) .*\n", "", debian, flags=re.M)
            code = code.replace('path = "/site/', f'path = "{self.root}/var/lib/haproxy/site/')
        threads = f"""
global
    nbthread 4
    lua-prepend-path {self.root}/usr/local/lib/lua/5.3/?.so cpath
"""
        self.write("etc/haproxy/haproxy.cfg", debian + threads + page)
        self.write("etc/haproxy/site.lua", code)

    def run_server(self):
        # As Debian's unit does.
        self.start(["haproxy", "-Ws", "-f", self.root / "etc/haproxy/haproxy.cfg", "-p", self.root / "run/haproxy.pid"],
                   PATH=os.environ["PATH"] + ":/usr/sbin", NOTIFY_SOCKET=self.root / "notices")
        self.wait_until_ready()

    def wait_until_ready(self):
        while b"READY=1" not in self.notices.recv(4096):
            pass

    def supervise(self):
        """Starts the server again when it ends, as systemd does (Restart=always)."""
        while not self.ended:
            if self.process.poll() is not None:
                self.run_server()
                self.starts += 1
            time.sleep(0.02)

    def kill_a_worker(self):
        starts = self.starts
        super().kill_a_worker()
        wait_for("another master", lambda: self.starts > starts)

    def reload(self):
        """As `systemctl reload haproxy` does. Returns once the old worker is gone."""
        before = set(self.workers())
        os.kill(self.process.pid, signal.SIGUSR2)
        self.wait_until_ready()
        wait_for("a new worker alone", lambda: self.workers() and not before & set(self.workers()))

    def cleanup(self):
        self.ended = True
        if self.supervisor.is_alive():
            self.supervisor.join()
        self.notices.close()
        super().cleanup()


def check_rights(haproxy):
    """The store lies in HAProxy's new root folder, and belongs to its user."""
    assert haproxy.get("/visits")[:2] == (200, "1"), haproxy.output.read_text()
    about = haproxy.file.stat()
    assert about.st_mode & 0o777 == 0o600
    assert about.st_uid == haproxy.file.parent.stat().st_uid
    worker = haproxy.workers()[0]
    if IS_ROOT:
        assert os.readlink(f"/proc/{worker}/root") == str(haproxy.root / "var/lib/haproxy")
    assert len(os.listdir(f"/proc/{worker}/task")) == 4


def main():
    tests, haproxy = Tests(), HAProxy()
    try:
        haproxy.configure()
        haproxy.run_server()
        haproxy.supervisor.start()
        tests.run(check_rights, haproxy)
        cookie = tests.run(support.check_session, haproxy)
        tests.run(support.check_limiter, haproxy)
        faults = [haproxy.kill_a_worker, haproxy.reload, haproxy.kill_a_worker, haproxy.reload]
        tests.run(support.check_counter, haproxy, haproxy.file, faults)
        tests.run(support.check_others_go_on, haproxy, haproxy.file, cookie)
        tests.run(support.check_logout, haproxy, cookie)
        tests.run(support.check_crashes, haproxy.output.read_text())
    finally:
        haproxy.cleanup()
    tests.finish()


if __name__ == "__main__":
    main()
