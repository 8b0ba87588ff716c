#!/usr/bin/env python3
"""A proxy before a server on a Unix socket, which delays, holds back or cuts what passes.

    tests/postgres/proxy.py MILLISECONDS LISTEN TARGET   delays each direction by this time, until it is ended
"""

from __future__ import annotations

import os
import queue
import random
import signal
import socket
import sys
import threading
import time
from typing import Optional

# The two directions: what the client sends goes up, what the server answers comes down.
UP, DOWN = "up", "down"
CHUNK = 1 << 16
# With `chance`: how many of the pieces that pass are cut, and for how many of these nothing passes for some seconds.
CUT, HELD, HELD_FOR = 1 / 20, 1 / 40, 0.5


class Messages:
    """Where the messages of one direction of a connection begin. Each has a byte for its type, but for the first one of a
    client, then its length without that byte, and its body."""

    def __init__(self, direction: str) -> None:
        self.head, self.size, self.left = b"", 4 if direction == UP else 5, 0

    def begin(self, data: bytes) -> list[int]:
        """Returns where messages begin in what comes next."""
        begins, at = [], 0
        while at < len(data):
            if self.left:
                step = min(self.left, len(data) - at)
                self.left -= step
            else:
                if not self.head:
                    begins.append(at)
                step = min(self.size - len(self.head), len(data) - at)
                self.head += data[at:at + step]
                if len(self.head) == self.size:
                    self.left = int.from_bytes(self.head[-4:], "big") - 4
                    self.head, self.size = b"", 5
            at += step
        return begins


class Connection:
    """A client's connection, and the proxy's own to the server."""

    def __init__(self, proxy: "Proxy", client: socket.socket) -> None:
        self.proxy, self.client = proxy, client
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(proxy.target)
        self.messages = {UP: Messages(UP), DOWN: Messages(DOWN)}

    def start(self) -> None:
        for direction, source, sink in ((UP, self.client, self.server), (DOWN, self.server, self.client)):
            late: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            threading.Thread(target=self.read, args=(direction, source, late), daemon=True).start()
            threading.Thread(target=self.write, args=(direction, sink, late), daemon=True).start()

    def read(self, direction: str, source: socket.socket, late: "queue.SimpleQueue[tuple[float, bytes]]") -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            late.put((time.monotonic() + self.proxy.delay, data))

    def write(self, direction: str, sink: socket.socket, late: "queue.SimpleQueue[tuple[float, bytes]]") -> None:
        proxy = self.proxy
        while True:
            due, data = late.get()
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            proxy.flows.wait()
            with proxy.lock:
                data, cut = proxy.count(direction, data, self.messages[direction]) if data else (data, True)
            try:
                sink.sendall(data)
            except OSError:
                cut = True
            if cut:
                self.close()
                return

    def close(self) -> None:
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already
        with self.proxy.lock:
            if self in self.proxy.connections:
                self.proxy.connections.remove(self)
                self.client.close()
                self.server.close()


class Proxy:
    def __init__(self, listen: str, target: str, delay: float = 0.0) -> None:
        self.listen, self.target, self.delay = listen, target, delay
        self.lock = threading.RLock()
        self.connections: list[Connection] = []
        self.flows = threading.Event()
        self.flows.set()
        self.passed = {UP: 0, DOWN: 0}
        # Where messages began, from the first reset on.
        self.begins: Optional[dict[str, list[int]]] = None
        self.cut: Optional[tuple[str, int]] = None
        self.chance: Optional[random.Random] = None

    def __enter__(self) -> "Proxy":
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.listen)
        os.chmod(self.listen, 0o777)
        self.socket.listen(128)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.drop()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return  # closed
            try:
                connection = Connection(self, client)
            except OSError:
                client.close()  # there is no server now
                continue
            with self.lock:
                self.connections.append(connection)
            connection.start()

    def count(self, direction: str, data: bytes, messages: Messages) -> tuple[bytes, bool]:
        """Returns how much of `data` may pass, and whether the connection ends there."""
        passed = self.passed[direction]
        if self.chance and self.chance.random() < CUT:
            if self.chance.random() < HELD:
                self.flows.clear()
                threading.Timer(HELD_FOR, self.flows.set).start()
            return data[:self.chance.randrange(len(data) + 1)], True
        if self.cut and self.cut[0] == direction and self.cut[1] <= passed + len(data):
            data = data[:self.cut[1] - passed]
            self.cut = None
            return data, True
        begins = messages.begin(data)
        if self.begins:
            self.begins[direction] += [passed + at for at in begins]
        self.passed[direction] += len(data)
        return data, False

    def cut_after(self, direction: str, size: int) -> None:
        """Counts from now on, and ends the connection by which byte number `size` in a direction passes, right after it.
        With 0, the byte that would be the first one does not pass."""
        self.reset()
        with self.lock:
            self.cut = (direction, size)

    def reset(self) -> list[list[int]]:
        """Returns for each direction how many bytes have passed and where messages began among them, counts anew, and
        cuts nothing any more."""
        with self.lock:
            begins = self.begins or {UP: [], DOWN: []}
            counted = [[self.passed[direction], *begins[direction]] for direction in (UP, DOWN)]
            self.passed, self.begins, self.cut = {UP: 0, DOWN: 0}, {UP: [], DOWN: []}, None
            return counted

    def drop(self) -> None:
        for connection in list(self.connections):
            connection.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    with Proxy(sys.argv[2], sys.argv[3], float(sys.argv[1]) / 1000):
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
