"""The bill of materials: that it is valid and complete, and that all licences fit. Prints TAP.

    tests/dist/sbom.py BILL NOTICES BINARY...    each binary is one that the bill describes
"""

import json
import pathlib
import re
import subprocess
import sys

import license_expression
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

# Software with these may be passed on within ours: none of them asks for more than the text of the licence.
ALLOWED = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "0BSD",
           "BSL-1.0", "CC0-1.0", "Unlicense", "Unicode-3.0", "blessing"}

bill, notices, *binaries = (pathlib.Path(name) for name in sys.argv[1:])
packages = json.loads(bill.read_text())["packages"]
found = {(package["name"], package["versionInfo"]) for package in packages}
licensing = license_expression.get_spdx_licensing()


def allowed(expression):
    """Returns whether one may choose licences that are in the list."""
    if isinstance(expression, license_expression.LicenseSymbol | license_expression.LicenseWithExceptionSymbol):
        return expression.render() in ALLOWED
    choose = any if isinstance(expression, licensing.OR) else all
    return choose(allowed(part) for part in expression.args)


def is_valid():
    return [message.validation_message for message in validate_full_spdx_document(parse_file(str(bill)))]


def licences_fit():
    return [package["name"] for package in packages if not allowed(licensing.parse(package["licenseDeclared"]))]


def test_of_licences_can_fail():
    return [text for text, fits in (("MIT", True), ("GPL-3.0-only", False), ("MIT AND GPL-3.0-only", False),
                                    ("MIT OR GPL-3.0-only", True)) if allowed(licensing.parse(text)) != fits]


def names_all_crates_that_binaries_name():
    """Messages of panics contain the folders of crates: crates/INDEX/NAME-VERSION/src/lib.rs."""
    named = set()
    for binary in binaries:
        crates = re.findall(rb"crates/[^/\0]+/([\w-]+)-(\d+\.\d+\.\d+[\w.+-]*)/src/", binary.read_bytes())
        assert crates, f"{binary} names none"
        named |= {(name.decode(), version.decode()) for name, version in crates}
    return named - found


def names_sqlite():
    """Each binary contains the date of SQLite's release, and these are its versions' names."""
    versions = [version for name, version in found if name == "sqlite"]
    return [binary for binary in binaries if len(versions) != 1 or versions[0].encode() not in binary.read_bytes()]


def has_no_paths():
    """The binaries name no folder of the machine that built them."""
    folders = {str(pathlib.Path.home()).encode(), str(pathlib.Path.cwd()).encode()}
    return [(binary, folder) for binary in binaries for folder in folders if folder + b"/" in binary.read_bytes()]


def notices_name_all():
    text = notices.read_text()
    own = {"luat_kv", "luat-kv", "lua-luat_kv", "libluat_kv", "rust-std", "sqlite"}
    return [(name, version) for name, version in found if name not in own and f"{name} {version}" not in text]


def is_the_same_again():
    again = subprocess.run(["make/dist/sbom.py", "spdx"], check=True, stdout=subprocess.PIPE).stdout
    return [] if again == bill.read_bytes() else ["another document"]


failed = False
checks = [is_valid, licences_fit, test_of_licences_can_fail, names_all_crates_that_binaries_name, names_sqlite, has_no_paths,
          notices_name_all, is_the_same_again]
for number, check in enumerate(checks, 1):
    wrong = list(check())
    failed |= bool(wrong)
    print(f"{'not ' if wrong else ''}ok {number} - {check.__name__.replace('_', ' ')}", *wrong[:9], sep="\n# ")
print(f"1..{len(checks)}")
sys.exit(failed)
