// Segments in IndexedDB: a database for each store, an entry for each segment.

import { LuatKVError, failed, unavailable } from "../error.js";

const SEGMENTS = "segments";

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function openDatabase(name) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(`luat_kv:${name}`, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(SEGMENTS, { keyPath: "number" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export async function openIndexedDB(name) {
  if (!globalThis.indexedDB) throw unavailable("IndexedDB");
  try {
    return new Segments(name, await openDatabase(name));
  } catch (error) {
    throw failed("opening the store in IndexedDB", error);
  }
}

export function removeIndexedDB(name) {
  if (!globalThis.indexedDB) throw unavailable("IndexedDB");
  const request = indexedDB.deleteDatabase(`luat_kv:${name}`);
  // Who has it open is told to close it, and does (see #use); the request waits for that.
  return done(request);
}

class Segments {
  #name;
  #database;
  /** The number of the newest segment. */
  #last = 0;
  /** Whether the browser has closed the database, as when the user deletes the site's data. */
  lost = false;

  constructor(name, database) {
    this.#name = name;
    this.#use(database);
  }

  #use(database) {
    this.#database = database;
    const lose = () => {
      database.close();
      this.lost = true;
    };
    database.onclose = lose;
    database.onversionchange = lose;
  }

  /** Runs a function with the object store, in one transaction, which is on disk when this resolves. */
  async #transaction(mode, run) {
    const transaction = this.#database.transaction(SEGMENTS, mode, { durability: "strict" });
    const complete = new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
    const answer = run(transaction.objectStore(SEGMENTS));
    transaction.commit?.(); // now, for a page that is being left does not come to see its requests done
    try {
      await complete;
    } catch (error) {
      await answer.catch(() => {});
      if (error?.name !== "ConstraintError") throw error;
      throw new LuatKVError("BUSY", `the store ${JSON.stringify(this.#name)} was written by another tab or worker`);
    }
    return answer;
  }

  async read() {
    let segments;
    try {
      segments = await this.#transaction("readonly", (store) => done(store.getAll()));
    } catch (error) {
      throw failed("reading the store from IndexedDB", error);
    }
    this.#last = segments.at(-1)?.number ?? 0;
    return segments.slice(
      Math.max(
        segments.findLastIndex(({ kind }) => kind === "snapshot"),
        0,
      ),
    );
  }

  /** What a transaction has written is whole. */
  async torn() {
    return false;
  }

  async append(bytes) {
    const number = this.#last + 1;
    await this.#transaction("readwrite", (store) => done(store.add({ number, kind: "log", bytes })));
    this.#last = number;
  }

  async replace(bytes) {
    if (this.lost) {
      this.#use(await openDatabase(this.#name));
      this.lost = false;
    }
    const number = this.#last + 1;
    await this.#transaction("readwrite", (store) => {
      store.delete(IDBKeyRange.upperBound(this.#last));
      return done(store.add({ number, kind: "snapshot", bytes }));
    });
    this.#last = number;
  }

  async close() {
    this.#database.close();
  }
}
