// Segments in the origin private file system: a folder for each store, a file for each segment. A file's name is its
// number and kind. It begins with a magic number, its length and a checksum, so that an incomplete file is detected.

import { invalid } from "../error.js";
import { lockManager } from "./lock.js";
import { refusal, unavailable } from "./refusal.js";

const FOLDER = "luat_kv";
const MAGIC = 0x31534b4c; // "LKS1"
const HEADER = 16;
const NAME = /^(\d{12})\.(snapshot|log)$/;

/** FNV-1a over words of 32 bits, which is sufficient to detect parts that were not written. */
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

/** The content of a complete file; null for an incomplete one. */
function contentOf(file) {
  if (file.byteLength < HEADER) return null;
  const view = new DataView(file);
  const bytes = new Uint8Array(file, HEADER);
  const isWhole = view.getUint32(0, true) === MAGIC && view.getBigUint64(8, true) === BigInt(bytes.length);
  return isWhole && view.getUint32(4, true) === checksum(bytes) ? bytes : null;
}

const INSTEAD = 'persist: "indexeddb" keeps one here';

/** Throws in a browser that could open a store but could not write to it, or not exclude writes of other tabs. */
function checkAvailable() {
  const isSecure = globalThis.isSecureContext !== false;
  const why = isSecure ? "" : `, as the page was not loaded over https: ${INSTEAD}`;
  if (!globalThis.navigator?.storage?.getDirectory) throw unavailable("origin private file system", why);
  if (lockManager() === null) {
    throw invalid(`persist: "opfs" needs Web Locks, which this browser does not have: ${INSTEAD}`);
  }
  const { prototype } = globalThis.FileSystemFileHandle ?? {};
  if (prototype?.createWritable || prototype?.createSyncAccessHandle) return;
  const message = `persist: "opfs" cannot write in this browser, which has no createWritable() here: ${INSTEAD}`;
  throw invalid(message);
}

/** The parent of the stores' folders. */
async function stores() {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(FOLDER, { create: true });
}

/** The name of a store's folder. Some names of stores are not valid names of folders. */
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

/** Writes a file. It gets its whole content at once, when it is closed. */
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
 * Writes a file in a worker of a browser that only has sync access handles. If the browser ends meanwhile, the file is
 * incomplete; the write was not reported as done.
 */
async function writeInPlace(handle, bytes) {
  const access = await handle.createSyncAccessHandle();
  try {
    await access.truncate(0); // truncate(), flush() and close() are asynchronous in early browsers
    const length = access.write(headerOf(bytes), { at: 0 }) + access.write(bytes, { at: HEADER });
    if (length < HEADER + bytes.length) throw new DOMException("it was written in part", "QuotaExceededError");
    await access.flush();
  } finally {
    await access.close();
  }
}

/** Whether the quota is exhausted. Chromium's errors do not always say so. */
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

  /** Returns the segments from the newest complete snapshot on. Removing the older ones was interrupted. */
  async read() {
    try {
      const segments = [];
      const names = await this.#names();
      for (const name of names.reverse()) {
        const segment = await this.#segment(name);
        if (segment.isEmpty && segments.length === 0) {
          // The write of this file was not reported as done, so the segment before it is the last one.
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

  /** The newest segment may be incomplete after the system went down. */
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
      // getFileHandle() creates a missing file, but not its folder.
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
