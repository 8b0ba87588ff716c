// The name of a store, held against other tabs and workers by the browser's Web Locks.

import { busy, refusal } from "./refusal.js";

/** Longer than a timer can be set for. */
const NEVER = 0x7fffffff;

/** The browser's locks; null where it has none, as in a page over plain http. */
export function lockManager() {
  const locks = globalThis.navigator?.locks;
  return typeof locks?.request === "function" ? locks : null;
}

/**
 * Runs a function after some milliseconds, unless what this returns is called before. Infinity, and what a timer
 * cannot count to, is never.
 */
export function after(milliseconds, run) {
  if (milliseconds > NEVER) return () => {};
  const timer = setTimeout(run, milliseconds);
  return () => clearTimeout(timer);
}

/** Resolves, when the name is held, to what lets go of it. Without locks, to nothing of effect. */
export function lock(where, name, wait) {
  const locks = lockManager();
  if (locks === null) return () => {};
  const patience = new AbortController();
  const settle = after(wait, () => patience.abort());
  const options = wait === 0 ? { ifAvailable: true } : { signal: patience.signal };
  return new Promise((resolve, reject) => {
    const held = locks.request(`luat_kv:${where}:${name}`, options, (lock) => {
      settle();
      if (lock === null) throw busy(name);
      return new Promise((unlock) => resolve(unlock));
    });
    held.catch((error) => {
      settle();
      reject(patience.signal.aborted ? busy(name) : refusal("locking the store", error));
    });
  });
}
