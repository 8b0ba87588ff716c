"""Memory leaks: of calls, of handles, and at the end of a process."""

from __future__ import annotations

from typing import Any

import pytest

# Runs each of these 10 000 times, and prints the process's growth in KiB: 400 000 operations in all.
GROWTH = """
import gc, luat_kv, sys

def rss():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

def fails(call, *arguments):
    try:
        call(*arguments)
    except (luat_kv.Error, KeyError):
        return
    raise AssertionError

store = luat_kv.open_memory() if sys.argv[1] == "memory" else luat_kv.open("kv.db")
kv = store.namespace("a")
big = b"x" * 66_000
kv["big"] = big
kv.put("key", b"value", metadata={"a": 1})
check = kv.batch().check("no", None)
watch = kv.watch(prefix="w", values=True)
operations = [
    lambda: kv.get("key"), lambda: kv.get("no"), lambda: kv.get("big"), lambda: "key" in kv,
    lambda: kv.get_entry("key"), lambda: kv.get_many(["key", "no"]), lambda: kv.get_many(()),
    lambda: kv.put("a", b"v"), lambda: kv.put("a", memoryview(b"v"), metadata=[1], expiration_ttl=9),
    lambda: kv.put_json("a", [1]), lambda: kv.get_json("a"), lambda: kv.add("a", b"v"), lambda: kv.touch("a"),
    lambda: kv.delete("a"), lambda: kv.incr("n"), lambda: kv.count("k"), lambda: kv.list(prefix="k", values=True),
    lambda: list(kv.items(stop="b")), lambda: kv.pop("no", None), lambda: kv.setdefault("key", b"v"),
    lambda: fails(kv.get, ""), lambda: fails(kv.put, "k" * 5000, b""), lambda: fails(kv.__getitem__, "no"),
    lambda: fails(kv.get, "\\ud800"), lambda: fails(kv.__contains__, "\\ud800"), lambda: fails(kv.put, "\\ud800", "v"),
    lambda: kv.put("a", "text \\u00fc"), lambda: fails(check.check, "a", "no version"),
    lambda: kv.batch().check("no", None).put("a", b"v").commit(), lambda: kv.batch().put("a", big[:1000]),
    lambda: kv.batch().check("key", None).commit(), lambda: store.namespace("b"), lambda: store.namespaces(),
    lambda: kv.watch(["key"]).next(0), lambda: (kv.put("w", b"v", metadata=[1]), watch.next()), lambda: kv.watch().fileno(),
    lambda: kv.watch(since=kv.watch().token()), lambda: fails(lambda: kv.watch(since="x")),
    lambda: fails(kv.watch, [""]), lambda: (kv.put("w", b"v"), kv.watch(), next(watch)),
    lambda: store.stats(), lambda: luat_kv.open_memory().namespace("a").put("a", b"v"),
]
for number, operation in enumerate(operations):
    for _ in range(2000): operation()
    before = rss()
    for _ in range(10_000): operation()
    print(number, rss() - before)
"""


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_operations_leave_nothing_behind(child: Any, kind: str) -> None:
    done = child(GROWTH, kind, PYTHONDEVMODE="0")
    assert done.returncode == 0, done.stderr
    grown = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    # A leak of 32 bytes with each call would be 312 KiB.
    assert len(grown) > 38 and [pair for pair in grown if pair[1] > 250] == []


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
        "threading.Thread(target=kv.watch().next, daemon=True).start(); time.sleep(0.05)",
        "watch = kv.watch(); watch.fileno()",
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
