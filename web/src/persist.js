// Keeping a store across reloads: opening and removing what was kept. The places themselves are in persist/.

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

/** Holds a store's name while a function runs, which is told how much is left of the wait. Lets go where it fails. */
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

/** Removes all that was kept of a store, whatever it is. */
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
 * Fills a store with what was kept of it, and returns what keeps it from now on. A place has these methods: `read()`
 * returns its segments in order, as { number, kind, bytes }, from the newest snapshot on, and `torn(segment)` whether
 * one that cannot be read was never whole, and drops it; `append(bytes)` adds a log; `replace(bytes)` a snapshot, in
 * place of all that was; `close()`. One that can be told more while it writes has `extend(bytes)`. `lost` is true where
 * all that was written is gone. An error that isOvertaken() is for good.
 */
export async function persist(core, { where, name, wait, recover, onError }) {
  try {
    return await holding({ where, name, wait }, async ({ wait, unlock }) => {
      const place = await PLACES[where].open(name, wait);
      try {
        const restored = await restore(core, place, recover);
        if (restored.damage !== null) tell(onError, restored.damage);
        core.changes(false); // from here on, it keeps track
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
