"""Watches with asyncio: on their descriptors, and in a worker thread where there are none."""

from __future__ import annotations

import asyncio
import pathlib
import select
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Coroutine

import pytest

import luat_kv
from luat_kv import InvalidError, Namespace, Store

Run = Callable[[Coroutine[Any, Any, None]], None]


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop as on Windows."""

    def add_reader(self, *_: Any) -> None:  # type: ignore[override]
        raise NotImplementedError


@pytest.fixture(params=["readers", "no readers"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in each kind of loop, 30 seconds at most. No task is left, and no descriptor is registered."""

    def run(main: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.SelectorEventLoop() if request.param == "readers" else WithoutReaders()
        try:
            selector: Any = getattr(loop, "_selector")
            registered = len(selector.get_map())
            loop.run_until_complete(asyncio.wait_for(main, 30))
            assert len(selector.get_map()) == registered and not asyncio.all_tasks(loop)
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()

    return run


def test_a_task_waits_while_another_one_writes(kv: Namespace, run: Run) -> None:
    async def main() -> None:
        watch, seen = kv.watch(prefix="k", values=True), []

        async def follow() -> None:
            async for change in watch:
                seen.append(change.key)
                if change.value == b"end":
                    return

        task = asyncio.create_task(follow())
        ticks = 0
        for number in range(10):
            kv[f"k{number}"] = kv["other"] = b"1"
            while len(seen) == number:
                ticks += 1
                await asyncio.sleep(0.001)
        kv["k"] = b"end"
        await task
        assert seen == [*(f"k{number}" for number in range(10)), "k"] and ticks

    run(main())


def test_writes_of_another_process_wake_a_task(tmp_path: pathlib.Path, run: Run) -> None:
    code = "import luat_kv, time; time.sleep(0.2); luat_kv.open('kv.db').namespace('a').put('key', b'value')"

    async def main() -> None:
        with luat_kv.open(tmp_path / "kv.db") as store, store.namespace("a").watch() as watch:
            writer = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
            async for change in watch:
                assert change.key == "key"
                break
            assert writer.wait(30) == 0

    run(main())


def test_a_loop_ends_with_the_timeout(kv: Namespace, run: Run) -> None:
    async def main() -> None:
        watch = kv.watch(timeout=0.03)
        begun = time.monotonic()
        assert [change async for change in watch] == [] and time.monotonic() - begun >= 0.03
        kv["a"] = kv["b"] = b"1"
        async for change in watch:
            assert change.key == "a" and [rest.key for rest in watch.next(0)] == ["b"]
        assert [change async for change in kv.watch(timeout=0)] == []

    run(main())


def test_a_task_that_is_cancelled_loses_nothing(kv: Namespace, run: Run) -> None:
    async def main() -> None:
        watch, seen = kv.watch(), set()

        async def follow() -> None:
            async for change in watch:
                seen.add(change.key)

        for number in range(30):
            task = asyncio.create_task(follow())
            await asyncio.sleep(0.0002 * number)
            kv[str(number)] = b"1"
            await asyncio.sleep(0.0002 * (30 - number))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        while changes := watch.next(0):  # first what the call of a cancelled task has found, perhaps before the last put
            seen.update(change.key for change in changes)
        assert seen == set(map(str, range(30)))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(watch.__anext__(), 0.02)
        watch.close()

    run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a descriptor")
def test_what_the_call_of_a_cancelled_task_finds_wakes_the_next_task(
    kv: Namespace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, entered, goes_on, ended = luat_kv.Watch._look, threading.Event(), threading.Event(), threading.Event()

    def late(watch: luat_kv.Watch, wait: float) -> None:
        monkeypatch.setattr(luat_kv.Watch, "_look", look)
        entered.set()
        assert goes_on.wait(10)
        look(watch, wait)
        ended.set()

    async def main() -> None:
        with kv.watch() as watch:
            monkeypatch.setattr(luat_kv.Watch, "_look", late)
            cancelled = asyncio.create_task(watch.__anext__())
            while not entered.is_set():
                await asyncio.sleep(0.001)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            task = asyncio.create_task(watch.__anext__())
            await asyncio.sleep(0.05)  # most likely it waits now
            kv["key"] = b"1"
            select.select([watch], [], [], 10)  # the event loop does not see it
            time.sleep(0.02)
            goes_on.set()
            assert ended.wait(10)
            assert (await asyncio.wait_for(task, 10)).key == "key"

    run(main())


@pytest.mark.parametrize("what", ["watch", "store"])
def test_a_task_that_waits_is_told_of_the_end(store: Store, kv: Namespace, run: Run, what: str) -> None:
    async def main() -> None:
        for ends in (lambda close: close(), lambda close: threading.Thread(target=close).start()):
            opened = luat_kv.open_memory() if store.path == "memory" else luat_kv.open(store.path)
            watch = opened.namespace("test").watch()
            task = asyncio.create_task(watch.__anext__())
            await asyncio.sleep(0.05)  # most likely it waits now
            ends(opened.close if what == "store" else watch.close)
            with pytest.raises(InvalidError, match=f"the {what} is closed"):
                await task
            opened.close()

    run(main())


def test_two_tasks_need_a_watch_each(kv: Namespace, run: Run) -> None:
    async def main() -> None:
        first, second = kv.watch(), kv.watch()
        tasks = [asyncio.create_task(watch.__anext__()) for watch in (first, second)]
        await asyncio.sleep(0.01)
        for call in (first.__anext__(), asyncio.to_thread(first.next, 0)):
            with pytest.raises(InvalidError, match="another thread or task waits with this watch"):
                await call
        kv["key"] = b"1"
        assert [change.key for change in await asyncio.gather(*tasks)] == ["key", "key"]

    run(main())


def test_a_loop_that_is_given_up_can_be_continued(kv: Namespace) -> None:
    async def wait(watch: luat_kv.Watch) -> None:
        await watch.__anext__()

    for loop in (asyncio.SelectorEventLoop(), WithoutReaders()):
        with kv.watch() as watch:
            left = wait(watch)

            async def begin() -> None:
                task = asyncio.ensure_future(left)
                await asyncio.sleep(0.02)
                assert not task.done()
                setattr(task, "_log_destroy_pending", False)

            loop.run_until_complete(begin())
            loop.run_until_complete(loop.shutdown_default_executor())
            left.close()
            loop.close()
            kv["key"] = b"1"
            assert [change.key for change in watch.next(1)] == ["key"]
