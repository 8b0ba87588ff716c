#!/usr/bin/env python3
"""Writes the packages for LuaRocks to a folder. It runs in the project's folder.

    rocks.py FOLDER [NOTICES LUA=MODULE ...]

They are a rockspec and a rock with the source, both of the last commit, and a rock with a module that was built for each
LUA, with the notices of what is compiled into it. `luarocks pack` would need each of these Luas, and would write other
bytes each time. The time in the files is SOURCE_DATE_EPOCH.
"""

import hashlib
import os
import pathlib
import platform
import re
import subprocess
import sys
import time
import zipfile

# What `luarocks make` needs of the project.
SOURCE = ["Makefile", "make", "src", "include", "lua", "build.rs", ".cargo", "Cargo.toml", "Cargo.lock", "CHANGELOG.md",
          "README.md", "LICENSE-APACHE", "LICENSE-MIT", "luat_kv-scm-1.rockspec"]
VERSION = re.search('^version = "(.*)"', pathlib.Path("Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE).group(1)
NAME = f"luat_kv-{VERSION}"


def rockspec(*more):
    """Returns the rockspec of the repository, with this version, and with more replacements: (pattern, by)."""
    text = pathlib.Path("luat_kv-scm-1.rockspec").read_text(encoding="utf-8")
    text = text[text.index("rockspec_format"):]
    for pattern, by in [(r'version = "scm-1"', f'version = "{VERSION}-1"'),
                        (r'url = "git.*', f'url = "file://{NAME}.tar.gz", -- in the rock beside this file'),
                        *more]:
        text, count = re.subn(pattern, by, text)
        assert count == 1, pattern
    return text.encode()


def archive():
    command = ["git", "-c", "safe.directory=*", "archive", "--format=tar.gz", f"--prefix={NAME}/", "HEAD", *SOURCE]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def write_rock(path, files):
    """Writes a rock: a zip file. The files are by their names, each with whether it may be executed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    when = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    with zipfile.ZipFile(path, "w") as rock:
        for name, (content, mode) in sorted(files.items()):
            info = zipfile.ZipInfo(name, when)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100000 | mode) << 16
            rock.writestr(info, content)


def manifest(files):
    """Returns the list of a rock's files with their checksums, which LuaRocks installs them by: a table in Lua."""
    tree = {}
    for name, (content, _) in files.items():
        *folders, leaf = name.split("/")
        folder = tree
        for part in folders:
            folder = folder.setdefault(part, {})
        folder[leaf] = hashlib.md5(content).hexdigest()

    def table(value):
        if isinstance(value, str):
            return f'"{value}"'
        return "{ " + ", ".join(f'["{key}"] = {table(value[key])}' for key in sorted(value)) + " }"

    return f"rock_manifest = {table(tree)}\n".encode()


def binary(version, module, notices):
    """Returns the files of a rock with a module built for a version of Lua: what the rockspec's install_command installs.

    The rock for another Lua would install, but not load: its rockspec names the one it is for.
    """
    lua = pathlib.Path("lua")
    files = {f"lua/{file.relative_to(lua)}": (file.read_bytes(), 0o644)
             for file in [lua / "luat_kv_ffi.lua", *lua.glob("luat_kv_ffi/*.lua"), *lua.glob("resty/*/*.lua")]}
    files["lib/luat_kv.so"] = (pathlib.Path(module).read_bytes(), 0o755)
    files["types/luat_kv.lua"] = ((lua / "types/luat_kv.lua").read_bytes(), 0o644)
    for text in ["LICENSE-APACHE", "LICENSE-MIT", notices]:
        files[f"doc/{pathlib.Path(text).name}"] = (pathlib.Path(text).read_bytes(), 0o644)
    files[f"{NAME}-1.rockspec"] = (rockspec((r'"lua >= .*?"', f'"lua ~> {version}"')), 0o644)
    files["rock_manifest"] = (manifest(files), 0o644)
    return files


def main(folder, notices=None, *modules):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}-1.rockspec").write_bytes(rockspec())
    write_rock(folder / f"{NAME}-1.src.rock", {f"{NAME}-1.rockspec": (rockspec(), 0o644),
                                               f"{NAME}.tar.gz": (archive(), 0o644)})
    for item in modules:
        lua, module = item.split("=", 1)
        write_rock(folder / lua / f"{NAME}-1.linux-{platform.machine()}.rock", binary(lua, module, notices))


if __name__ == "__main__":
    if len(sys.argv) < 2 or len(sys.argv) == 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
