#!/usr/bin/env python3
"""docs/hosts/apache.md: its configuration, unchanged, in Debian's own configuration of Apache, with several processes.
Prints TAP.

That configuration lies in target/servers/apache2 (make/unpack), since the package that has it also starts the server.
"""

import os
import re
import shutil
import signal
import stat

import support
from support import IS_ROOT, ROOT, Site, Tests, wait_for

ENABLED = ["mpm_event.load", "mpm_event.conf", "authz_core.load", "lua.load"]


class Apache(Site):
    def __init__(self):
        super().__init__("apache.md", "www-data")
        self.file = self.root / "var/lib/site/kv.db"

    def configure(self):
        self.run_block("sh clone")
        self.run_block("sh setup")
        for folder in ("var/run/apache2", "var/lock/apache2", "var/log/apache2"):
            (self.root / folder).mkdir(parents=True)
        config = self.root / "etc/apache2"
        shutil.copytree(ROOT / "target/servers/apache2/etc/apache2", config, symlinks=True)
        for name in ENABLED:  # a2enmod
            self.write(f"etc/apache2/mods-enabled/{name}", (config / "mods-available" / name).read_text())
        self.write("etc/apache2/ports.conf", "")  # which is port 80
        # Lua 5.3 looks there by itself in /usr/local.
        module = f"LuaPackageCPath {self.root}/usr/local/lib/lua/5.3/?.so\n"
        self.write("etc/apache2/sites-enabled/site.conf", module + self.here(self.blocks["apache site.conf"]))
        self.write("srv/site/site.lua", self.here(self.blocks["lua site.lua"]))

    def run_server(self):
        run = self.root / "var/run/apache2"
        self.start(["apache2", "-d", self.root / "etc/apache2", "-f", "apache2.conf", "-DFOREGROUND", "-C", "ServerName localhost"],
                   PATH=os.environ["PATH"] + ":/usr/sbin", APACHE_RUN_USER=self.user, APACHE_RUN_GROUP=self.user,
                   APACHE_RUN_DIR=str(run), APACHE_PID_FILE=str(run / "apache2.pid"),
                   APACHE_LOCK_DIR=str(self.root / "var/lock/apache2"), APACHE_LOG_DIR=str(self.root / "var/log/apache2"))

    def log(self, limit=3000):
        return (self.root / "var/log/apache2/error.log").read_text()[-limit:]

    def reload(self):
        """As `systemctl reload apache2` does. Returns once a process is there that was not before."""
        before = set(self.workers())
        os.kill(self.process.pid, signal.SIGUSR1)
        wait_for("a new process", lambda: set(self.workers()) - before)


def check_owner(apache):
    """Where the folder is root's, the log says so, and a chown suffices."""
    folder = apache.file.parent
    owner = (folder.stat().st_uid, folder.stat().st_gid)
    os.chown(folder, 0, 0)
    apache.run_server()
    assert apache.get("/me")[0] == 500
    assert re.search(r"luat_kv: IO: .*kv\.db", apache.log()), apache.log()
    os.chown(folder, *owner)
    for _ in range(30):
        assert apache.get("/me")[0] == 401, apache.log()
    apache.stop()


def check_rights(apache):
    """The file belongs to the user of the processes, and the threads of each share its descriptors."""
    def with_store():
        support.at_once([lambda: apache.get("/me")] * 20)
        return len(apache.workers_with_store()) >= 2
    wait_for("two processes with the store", with_store)
    about = apache.file.stat()
    assert stat.S_IMODE(about.st_mode) == 0o600
    assert about.st_uid == apache.file.parent.stat().st_uid
    for worker in apache.workers_with_store():
        names = [name for name in support.descriptors(worker) if "/kv.db" in name]
        # Three, and two more for each of up to eight threads that read at the same time (docs/embedding.md).
        assert len(names) <= 3 + 2 * 8 < 25, names


def main():
    tests, apache = Tests(), Apache()
    try:
        apache.configure()
        if IS_ROOT:
            tests.run(check_owner, apache)
        apache.run_server()
        tests.run(check_rights, apache)
        cookie = tests.run(support.check_session, apache)
        tests.run(support.check_limiter, apache)
        faults = [apache.kill_a_worker, apache.reload, apache.kill_a_worker, apache.reload, apache.kill_a_worker]
        tests.run(support.check_counter, apache, apache.file, faults)
        tests.run(support.check_others_go_on, apache, apache.file, cookie)
        tests.run(support.check_logout, apache, cookie)
        tests.run(support.check_crashes, apache.log(0))
    finally:
        apache.cleanup()
    tests.finish()


if __name__ == "__main__":
    main()
