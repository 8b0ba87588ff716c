// Segments in the origin's private file system: a folder for each store, a file for each segment. A file is named by
// its number and kind, and begins with a magic, its length and a checksum: one that is not whole is not taken.

import { invalid } from "../error.js";
import { lockManager } from "./lock.js";
import { refusal, unavailable } from "./refusal.js";

const FOLDER = "luat_kv";
const MAGIC = 0x31534b4c; // "LKS1"
const HEADER = 16;
const NAME = /^(\d{12})\.(snapshot|log)$/;

/** FNV-1a over words of 32 bits, as good as any to find what was not written. */
function checksum(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = bytes.byteLength & ~3;
  let sum = 0x811c9dc5 ^ bytes.byteLength;
  for (let at = 0; at < words; at += 4) sum = Math.imul(sum ^ view.getUint32(at, true) ^ (sum >>> 15), 0x01000193);
  for (let at = words; at < bytes.byteLength; at++) sum = Math.imul(sum ^ bytes[at], 0x01000193);
  return (sum ^ (sum >>> 15)) >>> 0;
}

function headerOf(bytes) {
  const view = new DataView(new ArrayBuffer(HEADER));
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, checksum(bytes), true);
  view.setBigUint64(8, BigInt(bytes.length), true);
  return new Uint8Array(view.buffer);
}

/** The bytes of a file that is whole, else null. */
function contentOf(file) {
  if (file.byteLength < HEADER) return null;
  const view = new DataView(file);
  const bytes = new Uint8Array(file, HEADER);
  const isWhole = view.getUint32(0, true) === MAGIC && view.getBigUint64(8, true) === BigInt(bytes.length);
  return isWhole && view.getUint32(4, true) === checksum(bytes) ? bytes : null;
}

const INSTEAD = 'persist: "indexeddb" keeps one here';

/** Refuses a browser that could open a store here and never write to it, or not keep other tabs from writing to it. */
function checkAvailable() {
  const isSecure = globalThis.isSecureContext !== false;
  const why = isSecure ? "" : `, as the page was not loaded over https: ${INSTEAD}`;
  if (!globalThis.navigator?.storage?.getDirectory) throw unavailable("origin private file system", why);
  if (lockManager() === null) throw invalid(`persist: "opfs" needs Web Locks, which this browser has not: ${INSTEAD}`);
  const { prototype } = globalThis.FileSystemFileHandle ?? {};
  if (prototype?.createWritable || prototype?.createSyncAccessHandle) return;
  const message = `persist: "opfs" cannot write in this browser, which has no createWritable() here: ${INSTEAD}`;
  throw invalid(message);
}

/** The folder that has one for each store. */
async function stores() {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(FOLDER, { create: true });
}

/** Not every name of a store is one of a folder. */
const folderOf = (name) => encodeURIComponent(name).replaceAll(".", "%2E");

export async function removeOPFS(name) {
  checkAvailable();
  try {
    await (await stores()).removeEntry(folderOf(name), { recursive: true });
  } catch (error) {
    if (error?.name !== "NotFoundError") throw error;
  }
}

const folder = async (name) => (await stores()).getDirectoryHandle(folderOf(name), { create: true });

export async function openOPFS(name) {
  checkAvailable();
  try {
    return new Segments(name, await folder(name));
  } catch (error) {
    throw refusal("opening the store in the origin private file system", error, { isOpening: true });
  }
}

/** A file gets its content when it is closed, all at once. */
async function write(handle, bytes) {
  const stream = await handle.createWritable();
  try {
    await stream.write(headerOf(bytes));
    await stream.write(bytes);
  } catch (error) {
    await stream.abort().catch(() => {});
    throw error;
  }
  await stream.close();
}

/**
 * The same in a worker of a browser that only has the other way. A file may then be there in part, where the browser
 * ended in the midst of it; nobody was told that it was written.
 */
async function writeInPlace(handle, bytes) {
  const access = await handle.createSyncAccessHandle();
  try {
    await access.truncate(0); // which was asynchronous at first, as flush() and close() were
    const length = access.write(headerOf(bytes), { at: 0 }) + access.write(bytes, { at: HEADER });
    if (length < HEADER + bytes.length) throw new DOMException("it was written in part", "QuotaExceededError");
    await access.flush();
  } finally {
    await access.close();
  }
}

/** Chromium does not always say that there is no room. */
async function isFull(length) {
  const { quota, usage } = (await globalThis.navigator.storage.estimate?.()) ?? {};
  return quota !== undefined && usage + length > quota;
}

class Segments {
  #name;
  #folder;
  #last = 0;
  /** Whether the folder was found to be gone, as when the user deletes the site's data. */
  lost = false;

  constructor(name, folder) {
    this.#name = name;
    this.#folder = folder;
  }

  async #names() {
    const names = [];
    for await (const name of this.#folder.keys()) if (NAME.test(name)) names.push(name);
    return names.sort();
  }

  /** The newest snapshot that is whole is where it begins; what is older was to be removed. */
  async read() {
    try {
      const segments = [];
      const names = await this.#names();
      for (const name of names.reverse()) {
        const segment = await this.#segment(name);
        if (segment.isEmpty && segments.length === 0) {
          // Nobody was told that it was written. An older snapshot or log is where things ended.
          await this.#folder.removeEntry(name);
          continue;
        }
        this.#last = Math.max(this.#last, segment.number);
        segments.unshift(segment);
        if (segment.kind === "snapshot" && segment.bytes !== null) break;
      }
      return segments;
    } catch (error) {
      throw refusal("reading the store from the origin private file system", error);
    }
  }

  async #segment(name) {
    const [, number, kind] = NAME.exec(name);
    const file = await (await this.#folder.getFileHandle(name)).getFile();
    return { name, number: Number(number), kind, bytes: contentOf(await file.arrayBuffer()), isEmpty: file.size === 0 };
  }

  /** The newest may not have been written to its end, where the system went down. */
  async torn(segment) {
    if (segment.bytes !== null) return false;
    await this.#folder.removeEntry(segment.name);
    this.#last = segment.number - 1;
    return true;
  }

  async #write(kind, bytes) {
    const number = this.#last + 1;
    try {
      const name = `${String(number).padStart(12, "0")}.${kind}`;
      const handle = await this.#folder.getFileHandle(name, { create: true });
      await (handle.createWritable ? write : writeInPlace)(handle, bytes);
    } catch (error) {
      // A file is made where it is missing, but not its folder.
      if (error?.name === "NotFoundError") this.lost = true;
      else if (await isFull(bytes.length).catch(() => false)) {
        throw new DOMException(error.message, "QuotaExceededError");
      }
      throw error;
    }
    this.#last = number;
    return number;
  }

  async append(bytes) {
    await this.#write("log", bytes);
  }

  async replace(bytes) {
    if (this.lost) {
      this.#folder = await folder(this.#name);
      this.lost = false;
    }
    const number = await this.#write("snapshot", bytes);
    for (const name of await this.#names()) {
      if (Number(NAME.exec(name)[1]) < number) await this.#folder.removeEntry(name);
    }
  }

  async close() {}
}
