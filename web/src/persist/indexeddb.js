// Segments in IndexedDB: a database for each store, an entry for each segment.
//
// A database has one owner at a time, also in a browser without Web Locks. An opener raises the version, for which the
// browser waits until every other connection is closed. The owner does not close its connection for the upgrade of
// another. The version also shows whether the database had another owner since: it is a time, and only increases.

import { joined } from "../values.js";
import { after } from "./lock.js";
import { busy, explained, overtaken, refusal, unavailable } from "./refusal.js";

const SEGMENTS = "segments";
/** The minimum wait for other connections to close, in milliseconds, even if the caller wants to wait less. */
const LEAST_WAIT = 500;
/** The minimum wait before `onblocked`, in milliseconds: the browser may just be slow to open the database. */
const LEAST_OPENING = 10_000;

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * Returns the result of a request that waits until others close the database; the error is BUSY if they do not in time.
 * The request cannot be cancelled: it goes on, and its result is closed. Requests are queued, so one that is behind a
 * request that has timed out gets no `onblocked`, and does not complete before that one.
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
      event.preventDefault(); // otherwise Firefox prints the error
      settle();
      reject(request.error);
    };
  });
}

/** Opens a database. Returns { database, isRaised }, where isRaised is true if this call raised the version. */
async function opened(id, version, name, wait) {
  const request = indexedDB.open(id, version);
  let isRaised = false;
  request.addEventListener("upgradeneeded", () => (isRaised = true));
  return { database: await granted(request, name, wait), isRaised };
}

/** Opens the database as its only owner. With `mine`, fails if the database no longer has that version. */
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
      database.close(); // another opener was faster, and chose the same version
    } catch (error) {
      if (error?.name !== "VersionError") throw error; // another opener was faster, with a higher version
    }
  }
}

function checkAvailable() {
  let isThere = false;
  try {
    isThere = Boolean(globalThis.indexedDB);
  } catch {
    isThere = true; // opening a database then throws an error with the reason
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
    if (error.code === "BUSY") throw error; // after other errors, the database may still be deleted
  }
  if (database !== null) empty(database);
  const removing = indexedDB.deleteDatabase(`luat_kv:${name}`);
  database?.close(); // not before, so that no later request is handled before the deletion
  await granted(removing, name, wait);
}

/** Empties the database, since a request that already waits for it gets it before it is deleted. */
function empty(database) {
  try {
    database.transaction(SEGMENTS, "readwrite").objectStore(SEGMENTS).clear();
  } catch {
    // It is deleted in any case.
  }
}

/** Stores a segment. A snapshot replaces all earlier segments. */
function put(store, segment) {
  store.put(segment);
  if (segment.kind === "snapshot") store.delete(IDBKeyRange.upperBound(segment.number, true));
}

class Segments {
  #name;
  #database;
  /** The number of the newest segment. */
  #last = 0;
  /** The segment that is being written, or null. */
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
    // Closes the connection only for a deletion. For an upgrade by another opener it stays open, and that one waits.
    database.onversionchange = ({ newVersion }) => newVersion === null && lose();
  }

  /** Changes the object store in one transaction, which is on disk when this resolves. */
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
      transaction.commit?.(); // at once: a page that is being closed does not get the events of its requests
    });
  }

  /** Reopens the database after the browser has closed it. Fails if it had another owner since. */
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

  /** Returns false: a transaction writes a segment completely or not at all. */
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

  /** Writes the current segment again, with more at its end. Whether the first write succeeds does not matter then. */
  async extend(more) {
    if (this.#writing === null) return;
    const { number, kind, bytes } = this.#writing;
    const all = joined([bytes, more], bytes.length + more.length);
    await this.#change((store) => put(store, { number, kind, bytes: all }));
  }

  async replace(bytes) {
    if (this.lost) await this.#regain(); // without an await otherwise: the page may be closing
    await this.#put("snapshot", bytes);
  }

  async close() {
    this.#database.close();
  }
}

/** Reads a segment by its number. Chromium keeps large values in separate files, which may be missing or damaged. */
function segment(store, number) {
  const request = store.get(number);
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = (event) => {
      const { error } = request;
      if (error.name === "AbortError") return reject(error);
      event.preventDefault(); // otherwise the error ends the transaction
      event.stopPropagation();
      resolve({ number, kind: null, bytes: null, why: explained(error) });
    };
  });
}
