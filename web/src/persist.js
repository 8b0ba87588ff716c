// Persisted stores: opening and removing. The kinds of storage ("places") are in persist/.

import { openIndexedDB, removeIndexedDB } from "./persist/indexeddb.js";
import { lock } from "./persist/lock.js";
import { openOPFS, removeOPFS } from "./persist/opfs.js";
import { Persister, tell } from "./persist/persister.js";
import { refusal } from "./persist/refusal.js";
import { restore } from "./persist/restore.js";

const PLACES = {
  indexeddb: { open: openIndexedDB, remove: removeIndexedDB },
  opfs: { open: openOPFS, remove: removeOPFS },
};

/** Locks a store's name and calls a function with the rest of the wait. Unlocks if the function fails. */
async function holding({ where, name, wait }, run) {
  const end = performance.now() + wait;
  const unlock = await lock(where, name, wait);
  try {
    return await run({ wait: Math.max(end - performance.now(), 0), unlock });
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** Removes a persisted store, also a damaged one. */
export function remove({ where, name, wait }) {
  return holding({ where, name, wait }, async ({ wait, unlock }) => {
    try {
      await PLACES[where].remove(name, wait);
    } catch (error) {
      throw refusal("removing the store", error);
    }
    await unlock();
  });
}

/**
 * Restores a store from its place, and returns the Persister that writes to it from now on. A place has these members:
 *
 * - `read()` returns its segments in order, as { number, kind, bytes }, from the newest snapshot on.
 * - `torn(segment)` returns whether a segment that cannot be read was never completely written, and then removes it.
 * - `append(bytes)` writes a log.
 * - `replace(bytes)` writes a snapshot that replaces all earlier segments.
 * - `extend(bytes)`, where the place supports it, adds bytes to the segment that is being written.
 * - `close()`
 * - `lost` is true if everything that was written has been deleted.
 *
 * After an error that isOvertaken(), no later write can succeed.
 */
export async function persist(core, { where, name, wait, recover, onError }) {
  try {
    return await holding({ where, name, wait }, async ({ wait, unlock }) => {
      const place = await PLACES[where].open(name, wait);
      try {
        const restored = await restore(core, place, recover);
        if (restored.damage !== null) tell(onError, restored.damage);
        core.changes(false); // starts the tracking of changes
        return new Persister(core, place, { unlock, onError, ...restored });
      } catch (error) {
        await place.close();
        throw error;
      }
    });
  } catch (error) {
    core.free();
    throw error;
  }
}
