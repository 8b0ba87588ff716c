// Locks the name of a store against other tabs and workers, with the browser's Web Locks.

import { busy, refusal } from "./refusal.js";

/** In milliseconds: more than the maximum of a timer. */
const NEVER = 0x7fffffff;

/** The browser's lock manager; null if it has none, as in a page over plain http. */
export function lockManager() {
  const locks = globalThis.navigator?.locks;
  return typeof locks?.request === "function" ? locks : null;
}

/**
 * Runs a function after some milliseconds, unless the returned function is called before. Infinity, and times that are
 * too long for a timer, mean never.
 */
export function after(milliseconds, run) {
  if (milliseconds > NEVER) return () => {};
  const timer = setTimeout(run, milliseconds);
  return () => clearTimeout(timer);
}

/** Requests a lock. Resolves to an async function that releases it, or to null if the lock is not available. */
function request(locks, id, options) {
  return new Promise((resolve, reject) => {
    const held = locks.request(id, options, (lock) => {
      if (lock === null) return resolve(null);
      return new Promise((release) => {
        resolve(() => {
          release();
          return held;
        });
      });
    });
    held.catch(reject);
  });
}

/** Locks the name of a store, and resolves to an async function that releases it. */
export async function lock(where, name, wait) {
  const locks = lockManager();
  if (locks === null) return async () => {}; // the place keeps other owners out
  const id = `luat_kv:${where}:${name}`;
  try {
    // A first request without a time limit, so that a free lock is granted however slow the browser is.
    const release = (await request(locks, id, { ifAvailable: true })) ?? (await waitFor(locks, id, wait));
    if (release === null) throw busy(name);
    return release;
  } catch (error) {
    throw refusal("locking the store", error);
  }
}

/** Requests a lock that another holder has; resolves to null if it is still held after `wait` milliseconds. */
async function waitFor(locks, id, wait) {
  if (wait === 0) return null;
  const patience = new AbortController();
  const settle = after(wait, () => patience.abort());
  try {
    return await request(locks, id, { signal: patience.signal });
  } catch (error) {
    if (patience.signal.aborted) return null;
    throw error;
  } finally {
    settle();
  }
}
