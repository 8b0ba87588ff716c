// A program that a test starts. It ends at the latest with the test.

import { spawn } from "node:child_process";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/**
 * Starts a program. `said(fd)` returns its output to a descriptor; `says(fd, pattern)` waits until that matches, and
 * returns the pattern's first group; end() waits until the program has ended.
 */
export function begin(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe", "pipe"] });
  const said = ["", "", "", ""];
  const listeners = new Set();
  const tell = () => listeners.forEach((listener) => listener());
  const program = { hasEnded: false, said: (fd) => said[fd], says, end };
  running.add(child);

  for (const fd of [1, 2, 3]) {
    child.stdio[fd]?.setEncoding("utf8").on("data", (text) => {
      said[fd] = (said[fd] + text).slice(-100_000);
      tell();
    });
  }
  const ended = new Promise((resolve) => {
    const end = (why) => {
      running.delete(child);
      program.hasEnded = true;
      said[2] += `${command} has ended: ${why}`;
      tell();
      resolve();
    };
    child.on("error", end).on("close", (code, signal) => end(signal ?? code));
  });

  function says(fd, pattern) {
    return new Promise((resolve, reject) => {
      const listener = () => {
        const found = pattern.exec(said[fd]);
        if (!found && !program.hasEnded) return;
        listeners.delete(listener);
        if (found) resolve(found[1]);
        else reject(new Error(said[2]));
      };
      listeners.add(listener);
      listener();
    });
  }

  function end() {
    child.kill();
    return ended;
  }

  return program;
}
