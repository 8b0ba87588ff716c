"""That nothing is left over: of calls, of handles, and at the end of a process."""

from __future__ import annotations

from typing import Any

import pytest

# Prints by how many KiB the process has grown over 100 000 operations, after as many to warm up.
GROWTH = """
import gc, luat_kv, sys

def rss():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

store = luat_kv.open_memory() if sys.argv[1] == "memory" else luat_kv.open("kv.db")
kv = store.namespace("a")
big = b"x" * 70_000

def fails(call, *arguments):
    try:
        call(*arguments)
    except (luat_kv.Error, KeyError):
        return
    raise AssertionError

def ten_thousand():
    for i in range(400):
        kv.put("key", b"value", metadata={"i": i}, expiration_ttl=1000)
        kv["key"], kv.get("key"), kv.get("no"), "key" in kv, kv.get_entry("key")
        fails(kv.get, "")
        fails(kv.put, "k" * 5000, b"")
        fails(kv.__getitem__, "no")
        kv.add("key", b""), kv.touch("key"), kv.delete("no"), kv.incr("n")
        kv.get_many(["key", "no"]), kv.list(values=True), list(kv), dict(kv), kv.count()
        kv["view"] = memoryview(b"some bytes")
        kv.batch().check("no", None).put("key", b"v").commit()
        kv.batch().put("forgotten", b"v")
        kv.pop("view")
        store.namespace("b").get("key")
        if i % 100 == 0:
            kv["big"] = big
            assert kv["big"] == big
            kv.delete("big")
            luat_kv.open_memory().namespace("a")["key"] = big
            store.stats(), store.namespaces()

for _ in range(10): ten_thousand()
before = rss()
for _ in range(10): ten_thousand()
print(rss() - before)
"""


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_operations_leave_nothing_behind(child: Any, kind: str) -> None:
    done = child(GROWTH, kind, PYTHONDEVMODE="0")
    # A leak of 16 bytes with each call would be 1600 KiB.
    assert int(done.stdout or "999999") < 1000, done.stdout + done.stderr


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(0)",
        "del store",
        "del kv; del store",
        "del store; del kv; del batch",
        "store.close(); store.close(); del kv; store.close()",
        "sys.modules.clear()",
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "threading.Thread(target=spin, daemon=True).start(); time.sleep(0.05)",
        "import atexit; atexit.register(lambda: kv.get('key'))",
        "cycle = [store, kv, batch]; cycle.append(cycle); del store, kv, batch",
        "keep = Keep()",
    ],
)
def test_what_is_open_at_the_end_of_a_process(child: Any, end: str) -> None:
    code = f"""
import luat_kv, sys, threading, time
store = luat_kv.open("kv.db")
kv = store.namespace("a")
kv["key"] = b"value"
batch = kv.batch().put("other", b"1")
page = iter(kv.items())
next(page)
def spin():
    while True: kv["key"] = kv["key"]
class Keep:
    kv = kv
    def __del__(self): self.kv["key"] = b"value"
print("end", flush=True)
{end}
"""
    done = child(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    again = child("import luat_kv; print(dict(luat_kv.open('kv.db').namespace('a')))")
    assert again.stdout == "{'key': b'value'}\n", again.stderr
