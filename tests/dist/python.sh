# needs: python3-venv python3-pip
# The wheel and the source distribution, installed by pip, on a system without a compiler.
. ./tap.sh
. ./first-get
wheel=$(echo /dist/luat_kv-*.whl) sdist=$(echo /dist/luat_kv-*.tar.gz)

cat >get.py <<'END'
import luat_kv
with luat_kv.open("kv.db") as store:
    users = store.namespace("users")
    users["user:1"] = b"Alice"
    print(users["user:1"])
END
first_get 'Python 3.9 or later' ".venv/bin/python get.py | grep -x \"b'Alice'\""
du -b "$wheel" "$sdist" | sed 's/^/# bytes: /'

cat >from.py <<'END'
import sys
from luat_kv import _library, _operations
assert _library.compiled and _operations.compiled, "it has no compiled modules"
assert _library.path == sys.argv[1], f"the library is {_library.path}"
END
inside() { find "$1" -name 'libluat_kv.so.0'; }
check 'its library is the one inside, and its modules are compiled' ".venv/bin/python from.py '$(inside "$PWD/.venv")'"

# Python's own sqlite3 is another copy of SQLite.
cat >two.py <<'END'
import sqlite3, luat_kv
with luat_kv.open("two.db") as store:
    store.namespace("a")["key"] = b"value"
other = sqlite3.connect("two.db")
other.execute("SELECT * FROM sqlite_schema").fetchall()
try:
    luat_kv.open("two.db", busy_timeout=60)
except luat_kv.BusyError as error:
    assert "another library in this process has it open" in str(error), error
else:
    raise AssertionError("the file was opened twice")
luat_kv.open("another.db").close()
other.close()
with luat_kv.open("two.db") as store:
    assert store.namespace("a")["key"] == b"value"
END
check 'a file that sqlite3 has open is refused, others are not' '.venv/bin/python two.py'

# The same library as the system's. If a program has loaded it first, it stays beside the one inside. If the package was
# first, the loader takes the one inside for both, as it has the same name: one copy of SQLite.
cp "$(inside .venv)" /usr/local/lib && ldconfig
cat >beside.py <<'END'
import ctypes, sys
def load_system():
    system = ctypes.CDLL("libluat_kv.so.0")
    system.luat_kv_open.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    system.luat_kv_close.argtypes = [ctypes.c_void_p]
    return system
if sys.argv[1] == "system first":
    system = load_system()
import luat_kv
if sys.argv[1] == "package first":
    system = load_system()
def open_by_system(path):
    store = ctypes.c_void_p()
    return system.luat_kv_open(path, None, ctypes.byref(store), None), store
copies = {line.split()[-1] for line in open("/proc/self/maps") if "libluat_kv" in line}
with luat_kv.open("beside.db") as store:
    store.namespace("a")["key"] = b"value"
    status, both = open_by_system(b"beside.db")
    assert (len(copies), status) == ((2, -3) if sys.argv[1] == "system first" else (1, 0)), (copies, status)
    if both:
        system.luat_kv_close(both)
    status, other = open_by_system(b"other.db")
    assert status == 0, status
    try:
        luat_kv.open("other.db").close()
        refused = False
    except luat_kv.BusyError:
        refused = True
    assert refused == (len(copies) == 2)
    system.luat_kv_close(other)
    assert store.namespace("a")["key"] == b"value"
luat_kv.open("other.db").close()
END
check "the system's library, loaded first, opens other files only" '.venv/bin/python beside.py "system first"'
check "the system's library, loaded later, is the one inside" '.venv/bin/python beside.py "package first"'
check "LUAT_KV_LIBRARY chooses the system's" \
    'LUAT_KV_LIBRARY=libluat_kv.so.0 .venv/bin/python from.py libluat_kv.so.0'

check 'pip uninstall leaves nothing' ".venv/bin/pip uninstall -q -y luat-kv
    [ -z \"\$(find .venv -ipath '*luat*kv*')\" ]"

check 'pip install --user, and uninstall' "pip install -q --user --break-system-packages --no-warn-script-location '$wheel'
    python3 get.py | grep -x \"b'Alice'\"
    pip uninstall -q -y --break-system-packages luat-kv
    [ -z \"\$(find ~/.local -ipath '*luat*kv*')\" ]"

# Without a compiler and without Rust the source distribution uses the system's library, and no compiled modules.
check "the source distribution, with the system's library" ".venv/bin/pip install -q '$sdist'
    .venv/bin/python get.py | grep -x \"b'Alice'\"
    .venv/bin/python -c 'from luat_kv import _library as l; assert (l.path, l.compiled) == (\"libluat_kv.so.0\", False)'"
rm /usr/local/lib/libluat_kv.so.0 && ldconfig
check 'without a library and without Rust, it says what would be right' "if .venv/bin/pip install -q --force-reinstall --no-deps '$sdist' >log 2>&1
    then exit 1; fi; grep 'There is neither cargo, to build the library, nor the system.s own' log"
finish
