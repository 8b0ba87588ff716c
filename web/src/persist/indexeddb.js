// Segments in IndexedDB: a database for each store, an entry for each segment.
//
// A database has one owner at a time, also where there are no locks. Whoever opens it raises its version, for which the
// browser waits until every other connection is closed, and refuses to close its own for another's upgrade. The version
// also tells whether somebody else has been there since: it is a time, and only goes up.

import { joined } from "../values.js";
import { after } from "./lock.js";
import { busy, explained, overtaken, refusal, unavailable } from "./refusal.js";

const SEGMENTS = "segments";
/** A connection may take a moment to close, however little the caller waits: in milliseconds. */
const LEAST_WAIT = 500;
/** The same, before it is known what a request waits for: the browser may just be slow to open the database. */
const LEAST_OPENING = 10_000;

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * The result of a request that waits for others to close the database; BUSY where they do not in time. Such a request
 * cannot be taken back: it goes on, and what comes of it is closed. One that stands behind the request of somebody who
 * came too late is not told that it is blocked, nor is it carried out before that one is.
 */
function granted(request, name, wait) {
  return new Promise((resolve, reject) => {
    let isLate = false;
    let settle = () => {};
    const begin = (least) => {
      settle();
      settle = after(Math.max(wait, least), () => {
        isLate = true;
        reject(busy(name));
      });
    };
    begin(LEAST_OPENING);
    request.onblocked = () => begin(LEAST_WAIT);
    request.onupgradeneeded = () => {
      const { result: database, transaction } = request;
      if (isLate) transaction.abort();
      else if (!database.objectStoreNames.contains(SEGMENTS)) {
        database.createObjectStore(SEGMENTS, { keyPath: "number" });
      }
    };
    request.onsuccess = () => {
      settle();
      if (isLate) request.result?.close();
      resolve(request.result);
    };
    request.onerror = (event) => {
      event.preventDefault(); // or Firefox prints it
      settle();
      reject(request.error);
    };
  });
}

/** Opens a database, and tells whether it was raised to this version: { database, isRaised }. */
async function opened(id, version, name, wait) {
  const request = indexedDB.open(id, version);
  let isRaised = false;
  request.addEventListener("upgradeneeded", () => (isRaised = true));
  return { database: await granted(request, name, wait), isRaised };
}

/** Opens the database as its only owner. `mine` is the version of the owner that was, where it may not have changed. */
async function own(name, wait, mine = null) {
  const id = `luat_kv:${name}`;
  for (;;) {
    const { database: found, isRaised: isNew } = await opened(id, undefined, name, wait);
    const { version } = found;
    found.close();
    if (mine !== null && !isNew && version !== mine) throw overtaken(name);
    try {
      const { database, isRaised } = await opened(id, Math.max(version + 1, Date.now()), name, wait);
      if (isRaised) return database;
      database.close(); // somebody was faster, and chose the same version
    } catch (error) {
      if (error?.name !== "VersionError") throw error; // somebody was faster: their version is higher
    }
  }
}

function checkAvailable() {
  let isThere = false;
  try {
    isThere = Boolean(globalThis.indexedDB);
  } catch {
    isThere = true; // and says why it cannot be used when it is
  }
  if (!isThere) throw unavailable("IndexedDB");
}

export async function openIndexedDB(name, wait) {
  checkAvailable();
  try {
    return new Segments(name, await own(name, wait));
  } catch (error) {
    throw refusal("opening the store in IndexedDB", error, { isOpening: true });
  }
}

export async function removeIndexedDB(name, wait) {
  checkAvailable();
  let database = null;
  try {
    database = await own(name, wait);
  } catch (error) {
    if (error.code === "BUSY") throw error; // what cannot be opened may still be deleted
  }
  if (database !== null) empty(database);
  const removing = indexedDB.deleteDatabase(`luat_kv:${name}`);
  database?.close(); // only now, so that nobody who comes later is before it
  await granted(removing, name, wait);
}

/** For those who wait for the database already: they get it before it is deleted. */
function empty(database) {
  try {
    database.transaction(SEGMENTS, "readwrite").objectStore(SEGMENTS).clear();
  } catch {
    // Then it is deleted as it is.
  }
}

/** Puts a segment there. A snapshot takes the place of all before it. */
function put(store, segment) {
  store.put(segment);
  if (segment.kind === "snapshot") store.delete(IDBKeyRange.upperBound(segment.number, true));
}

class Segments {
  #name;
  #database;
  /** The number of the newest segment. */
  #last = 0;
  /** The one that is being written. */
  #writing = null;
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
    // Who only wants to open it is to wait: the database is not deleted for that.
    database.onversionchange = ({ newVersion }) => newVersion === null && lose();
  }

  /** Makes changes to the object store, in one transaction, which is on disk when this resolves. */
  #change(run) {
    const transaction = this.#database.transaction(SEGMENTS, "readwrite", { durability: "strict" });
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction ended", "AbortError"));
      try {
        run(transaction.objectStore(SEGMENTS));
      } catch (error) {
        transaction.abort();
        return reject(error);
      }
      transaction.commit?.(); // now, for a page that is being left does not come to see its requests done
    });
  }

  /** Opens the database anew, which the browser has closed, unless somebody else has been there since. */
  async #regain() {
    this.#use(await own(this.#name, LEAST_WAIT, this.#database.version));
    this.lost = false;
  }

  async read() {
    try {
      if (this.lost) await this.#regain();
      const store = this.#database.transaction(SEGMENTS).objectStore(SEGMENTS);
      const numbers = await done(store.getAllKeys());
      this.#last = numbers.at(-1) ?? 0;
      return await Promise.all(numbers.map((number) => segment(store, number)));
    } catch (error) {
      throw refusal("reading the store from IndexedDB", error);
    }
  }

  /** What a transaction has written is whole. */
  async torn() {
    return false;
  }

  async #put(kind, bytes) {
    this.#writing = { number: this.#last + 1, kind, bytes };
    try {
      const { number } = this.#writing;
      await this.#change((store) => put(store, this.#writing));
      this.#last = number;
    } finally {
      this.#writing = null;
    }
  }

  async append(bytes) {
    await this.#put("log", bytes);
  }

  /** Writes what is being written once more, with more at its end. Whether the first comes through does not matter. */
  async extend(more) {
    if (this.#writing === null) return;
    const { number, kind, bytes } = this.#writing;
    const all = joined([bytes, more], bytes.length + more.length);
    await this.#change((store) => put(store, { number, kind, bytes: all }));
  }

  async replace(bytes) {
    if (this.lost) await this.#regain(); // and else at once, for the page may be about to end
    await this.#put("snapshot", bytes);
  }

  async close() {
    this.#database.close();
  }
}

/** A segment by its number. Chromium keeps large ones in files of their own, any of which may be gone or damaged. */
function segment(store, number) {
  const request = store.get(number);
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = (event) => {
      const { error } = request;
      if (error.name === "AbortError") return reject(error);
      event.preventDefault(); // which would end the transaction
      event.stopPropagation();
      resolve({ number, kind: null, bytes: null, why: explained(error) });
    };
  });
}
