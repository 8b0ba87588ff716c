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

/** Asks for a lock. Resolves to what lets go of it, which resolves when that is done; to null where it cannot be had. */
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

/** Holds the name of a store, and resolves to what lets go of it. */
export async function lock(where, name, wait) {
  const locks = lockManager();
  if (locks === null) return async () => {}; // the place sees to it
  const id = `luat_kv:${where}:${name}`;
  try {
    // What is free is had, however slow the browser is to say so.
    const release = (await request(locks, id, { ifAvailable: true })) ?? (await waitFor(locks, id, wait));
    if (release === null) throw busy(name);
    return release;
  } catch (error) {
    throw refusal("locking the store", error);
  }
}

/** The same for a lock that somebody holds; null where they still do after so many milliseconds. */
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
