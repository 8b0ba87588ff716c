#!/usr/bin/env python3
"""What is compiled into the library, the tool and the Lua modules, for those who pass them on.

    sbom.py spdx       a software bill of materials: SPDX 2.3, as JSON
    sbom.py notices    the licences of all of it, with their texts

Both are made of what cargo tells about the crates. (A tool that does the same takes some minutes to compile.) The same
sources and the same Rust give the same bytes. The time in them is SOURCE_DATE_EPOCH.
"""

import datetime
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

HOME = "https://github.com/maravilla-labs/luat_kv"
RUST = {"name": "rust-std", "license": "MIT OR Apache-2.0", "home": "https://www.rust-lang.org"}
# Each artefact: its name, the package that cargo builds it from, and the features that others do not have.
ARTEFACTS = [
    ("libluat_kv", "luat_kv", []),
    ("luat-kv", "luat_kv", ["--features", "cli"]),
    ("lua-luat_kv", "luat_kv_lua", ["--features", "lua54"]),
]


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@functools.lru_cache
def compiler():
    """Returns what rustc tells of itself: its release, its host."""
    return dict(line.split(": ", 1) for line in output("rustc", "-vV").splitlines() if ": " in line)


@functools.lru_cache
def every():
    """Returns all crates in Cargo.lock that this system may need, as cargo describes them."""
    data = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1", "--all-features",
                             "--filter-platform", compiler()["host"]))
    return sorted(data["packages"], key=lambda package: (package["name"], package["version"]))


def linked(root, features):
    """Returns the crates that are linked into what a package builds: no build scripts, no macros, no tests."""
    tree = output("cargo", "tree", "--locked", "--package", root, "--edges", "normal,no-proc-macro", "--prefix", "none",
                  "--format", "{p}", *features)
    names = set(re.findall(r"^(\S+) v(\S+)", tree, re.MULTILINE))
    return [package for package in every() if (package["name"], package["version"]) in names and package["source"]]


def checksums():
    entry = re.compile(r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"')
    lock = pathlib.Path("Cargo.lock").read_text(encoding="utf-8")
    return {(name, version): checksum for name, version, checksum in entry.findall(lock)}


def license_of(package):
    """Returns the licence as SPDX writes it, where older crates have a slash."""
    return re.sub(r"\s*/\s*", " OR ", package["license"])


def sqlite(packages):
    """Returns the version of SQLite, whose source is in a crate."""
    folder = next(folder_of(package) for package in packages if package["name"] == "libsqlite3-sys")
    header = (folder / "sqlite3/sqlite3.h").read_text(encoding="utf-8")
    return re.search(r'#define SQLITE_VERSION +"(.+)"', header).group(1)


def folder_of(package):
    return pathlib.Path(package["manifest_path"]).parent


def entry(name, version, license, home, **more):
    identifier = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", f"{name}-{version}")
    return {"SPDXID": identifier, "name": name, "versionInfo": version, "downloadLocation": home,
            "filesAnalyzed": False, "licenseConcluded": license, "licenseDeclared": license,
            "copyrightText": "NOASSERTION", **more}


def crate(package, checksum):
    name, version = package["name"], package["version"]
    return entry(
        name, version, license_of(package), f"https://crates.io/crates/{name}/{version}",
        checksums=[{"algorithm": "SHA256", "checksumValue": checksum}],
        externalRefs=[{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                       "referenceLocator": f"pkg:cargo/{name}@{version}"}])


def relation(subject, kind, related):
    return {"spdxElementId": subject["SPDXID"], "relationshipType": kind, "relatedSpdxElement": related["SPDXID"]}


def spdx():
    known, document = checksums(), {"SPDXID": "SPDXRef-DOCUMENT"}
    own = next(package for package in every() if package["name"] == "luat_kv")
    std = entry(RUST["name"], compiler()["release"], RUST["license"], RUST["home"])
    parts, relations = {std["SPDXID"]: std}, []
    for name, root, features in ARTEFACTS:
        artefact = entry(name, own["version"], own["license"], HOME)
        parts[artefact["SPDXID"]] = artefact
        relations += [relation(document, "DESCRIBES", artefact), relation(artefact, "STATIC_LINK", std)]
        for package in linked(root, features):
            part = crate(package, known[package["name"], package["version"]])
            relations.append(relation(artefact, "STATIC_LINK", part))
            if package["name"] == "libsqlite3-sys" and part["SPDXID"] not in parts:
                # Its authors have dedicated it to the public domain, with a blessing in place of a licence.
                engine = entry("sqlite", sqlite([package]), "blessing", "https://sqlite.org")
                parts[engine["SPDXID"]] = engine
                relations.append(relation(part, "CONTAINS", engine))
            parts[part["SPDXID"]] = part
    packages = [parts[key] for key in sorted(parts)]
    made = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    contents = json.dumps([packages, relations, made.isoformat()])
    print(json.dumps({
        **document, "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "name": f"luat_kv-{own['version']}",
        # A name that no other document has, but for one with the same contents.
        "documentNamespace": f"{HOME}/spdx/{uuid.uuid5(uuid.NAMESPACE_URL, HOME + contents)}",
        "creationInfo": {"created": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Organization: luat_kv"]},
        "packages": packages, "relationships": relations,
    }, indent=1))


def texts(package):
    """Returns the licences in a crate, or else those of a crate of the same repository."""
    for candidate in [package, *(other for other in every() if other["repository"] == package["repository"])]:
        files = sorted(path for path in folder_of(candidate).iterdir()
                       if re.match(r"(?i)(licen[sc]e|copying|copyright|notice|unlicense)", path.name) and path.is_file())
        if files:
            return [path.read_text(encoding="utf-8").replace("\r\n", "\n").strip("\n") for path in files]
    sys.exit(f"{package['name']} has no file with its licence")


def notices():
    packages = {package["id"]: package for _, root, features in ARTEFACTS for package in linked(root, features)}
    used = [packages[key] for key in sorted(packages, key=lambda key: packages[key]["name"])]
    users = {}  # of each text, since many crates have the same
    for package in used:
        for text in texts(package):
            names = users.setdefault(" ".join(text.split()), (text, []))[1]
            names.append(f"{package['name']} {package['version']}")
    print("luat_kv's library, its tool and its Lua modules contain the software below. The licence of luat_kv itself is in\n"
          "LICENSE-MIT and LICENSE-APACHE.\n")
    for package in used:
        print(f"  {package['name']} {package['version']}: {license_of(package)}")
    print(f"  the Rust standard library {compiler()['release']}: {RUST['license']}, by the Rust Project's contributors,\n"
          f"    and what it contains: https://github.com/rust-lang/rust/blob/{compiler()['release']}/COPYRIGHT\n"
          f"  SQLite {sqlite(used)}: in the public domain, by its authors' dedication")
    for text, names in users.values():
        print(f"\n{'-' * 80}\n{', '.join(names)}\n\n{text}")


if __name__ == "__main__":
    commands = {"spdx": spdx, "notices": notices}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
