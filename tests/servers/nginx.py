#!/usr/bin/env python3
"""docs/hosts/nginx.md: its configuration, unchanged, in Debian's nginx with four workers. Prints TAP.

nginx lies in target/servers/nginx (make/unpack), since its LuaJIT cannot be installed beside Debian's package luajit. Its
nginx.conf is Debian's too.
"""

import os
import re
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import support
from support import IS_ROOT, PATIENCE, ROOT, Site, Tests, wait_for

UNPACKED = ROOT / "target/servers/nginx"


class Nginx(Site):
    def __init__(self):
        super().__init__("nginx.md", "www-data")
        self.file = self.root / "var/lib/site/kv.db"
        # Workers, which are another user, need not be able to read the project's folder.
        self.installed = self.root / "installed"
        shutil.copytree(UNPACKED, self.installed, symlinks=True)
        libraries = next(self.installed.glob("usr/lib/*-linux-gnu"))
        self.libraries = f"{libraries}:{next(self.installed.glob('lib/*-linux-gnu'))}"
        for folder in ("run", "var/log/nginx", "var/lib/nginx", "etc"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "var/lib/nginx").chmod(0o777)
        shutil.copytree(self.installed / "etc/nginx", self.root / "etc/nginx")

    def configure(self, main=""):
        """Debian's configuration in this folder, and the page's in its conf.d."""
        debian = self.here((self.installed / "etc/nginx/nginx.conf").read_text())
        http = f"""http {{
            lua_package_cpath "{self.root}/usr/local/lib/lua/5.1/?.so;;";"""
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            http += f"\n{name}_temp_path {self.root}/var/lib/nginx/{name};"
        modules = "".join(f"load_module {self.installed}/usr/lib/nginx/modules/{name};\n"
                          for name in ("ndk_http_module.so", "ngx_http_lua_module.so"))
        debian = debian.replace("worker_processes auto;", f"worker_processes 4;\n{modules}{main}").replace("http {", http, 1)
        self.write("etc/nginx/nginx.conf", debian)
        # Where the packages' Lua lies: otherwise it is in the default path, for which ;; stands.
        site = self.here(self.blocks["nginx site.conf"]).replace(
            ';;"', f';{self.root}/usr/local/share/lua/5.1/?.lua;{self.installed}/usr/share/lua/5.1/?.lua;;"')
        self.write("etc/nginx/conf.d/site.conf", site)
        self.write("srv/site/site.lua", self.here(self.blocks["lua site.lua"]))

    def add(self, location):
        """Adds to the page's server what only the tests ask for."""
        path = self.root / "etc/nginx/conf.d/site.conf"
        path.write_text(re.sub(r"}\s*\Z", location + "\n}\n", path.read_text()))

    def run_server(self, **environment):
        self.start([self.installed / "usr/sbin/nginx", "-c", self.root / "etc/nginx/nginx.conf", "-e",
                    self.root / "var/log/nginx/error.log", "-g", "daemon off;"],
                   LD_LIBRARY_PATH=self.libraries, **environment)

    def log(self, limit=3000):
        return (self.root / "var/log/nginx/error.log").read_text()[-limit:]

    def reload(self):
        """As `systemctl reload nginx` does. Returns once no worker of before is left."""
        before = set(self.workers())
        os.kill(self.process.pid, signal.SIGHUP)
        wait_for("four new workers", lambda: len(self.workers()) == 4 and not before & set(self.workers()))


def check_owner(nginx):
    """Where the folder is root's, the log says so, and a reload after a chown suffices"""
    folder = nginx.file.parent
    owner = (folder.stat().st_uid, folder.stat().st_gid)
    os.chown(folder, 0, 0)
    nginx.run_server()
    assert nginx.get("/me")[0] == 500
    assert re.search(r"luat_kv: IO: .*kv\.db", nginx.log()), nginx.log()
    os.chown(folder, *owner)
    nginx.reload()
    wait_for("an answer", lambda: nginx.get("/me")[0] == 401)
    nginx.stop()


def check_rights(nginx):
    """The file belongs to the workers' user, and to nobody else."""
    wait_for("all workers have the store", lambda: len(nginx.workers_with_store()) == 4)
    about = nginx.file.stat()
    assert about.st_mode & 0o777 == 0o600
    assert about.st_uid == nginx.file.parent.stat().st_uid


def check_environment(nginx):
    """The page's env lines bring LUAT_KV_DB to the workers, also with luat_kv_ffi."""
    nginx.stop()
    other = nginx.file.with_name("other.db")
    for name in ("luat_kv_ffi.lua", "luat_kv_ffi"):
        subprocess.run(["cp", "-r", ROOT / "lua" / name, nginx.root / "srv/site"], check=True)
    library = shutil.copy((ROOT / "target/prefix/lib/libluat_kv.so.0").resolve(), nginx.root / "libluat_kv.so")
    nginx.configure(nginx.blocks["nginx main"])
    code = nginx.here(nginx.blocks["lua site.lua"]).replace('require("luat_kv")', 'require("luat_kv_ffi")')
    assert "open({ path = path" in code
    nginx.write("srv/site/site.lua", re.sub("path = path,? ?", "", code))
    nginx.run_server(LUAT_KV_DB=str(other), LUAT_KV_LIBRARY=str(library))
    assert [nginx.get("/visits")[:2] for _ in range(2)] == [(200, "1"), (200, "2")], nginx.log()
    assert other.exists()
    cookie = support.check_session(nginx)
    support.check_others_go_on(nginx, other, cookie)
    nginx.stop()


def check_storage(nginx):
    """The storage for lua-resty-session: see session_storage.lua"""
    nginx.stop()
    nginx.configure()
    tests = Path(__file__).with_name("session_storage.lua").read_text()
    nginx.write("srv/site/session_storage.lua", nginx.here(tests))
    nginx.write("srv/site/resty_page.lua", nginx.here(nginx.blocks["lua resty.lua"]))
    nginx.add('location /storage/ { content_by_lua_block { require("session_storage").run(ngx.var.uri:match("[^/]+$")) } }')
    nginx.run_server()
    for name in nginx.get("/storage/names")[1].split():
        status, text, _ = nginx.get("/storage/" + name)
        assert (status, text) == (200, "passed"), (name, status, text, nginx.log())
        print("#", name)
    # All workers add sessions to the list of one subject at the same time.
    answers = support.at_once([lambda: nginx.get("/storage/add")[:2]] * 40)
    assert answers == [(200, "passed")] * 40, answers
    assert nginx.get("/storage/count")[:2] == (200, "40")
    nginx.stop()


def main():
    tests, nginx = Tests(), Nginx()
    try:
        nginx.run_block("sh clone")
        nginx.run_block("sh setup")
        nginx.configure()
        if IS_ROOT:
            tests.run(check_owner, nginx)
        nginx.run_server()
        tests.run(check_rights, nginx)
        cookie = tests.run(support.check_session, nginx)
        tests.run(support.check_limiter, nginx)
        faults = [nginx.kill_a_worker, nginx.reload, nginx.kill_a_worker, nginx.reload, nginx.kill_a_worker]
        tests.run(support.check_counter, nginx, nginx.file, faults)
        tests.run(support.check_others_go_on, nginx, nginx.file, cookie)
        tests.run(support.check_logout, nginx, cookie)
        tests.run(check_storage, nginx)
        tests.run(check_environment, nginx)
        tests.run(support.check_crashes, nginx.log(0))
    finally:
        nginx.cleanup()
    tests.finish()


if __name__ == "__main__":
    main()
