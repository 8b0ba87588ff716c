// The file system in memory that Lua's `io` and `os` use: folders, files, and a few devices.

import { random } from "./runtime.js";

export const E = {
  OK: 0, ACCES: 2, BADF: 8, EXIST: 20, INVAL: 28, IO: 29, ISDIR: 31, MFILE: 33, NOENT: 44, NOSPC: 51, NOSYS: 52,
  NOTDIR: 54, NOTEMPTY: 55, PERM: 63, SPIPE: 70,
};

/** A failed operation; its code is an errno of WASI. */
export class FileError extends Error {
  constructor(code) {
    super(Object.keys(E).find((name) => E[name] === code));
    this.code = code;
  }
}

const fail = (code) => {
  throw new FileError(code);
};

let inodes = 0;

class Node {
  inode = BigInt(++inodes);
  changed = Date.now();
  size = 0;
}

export class Folder extends Node {
  entries = new Map();
}

export class File extends Node {
  #bytes = new Uint8Array(0);

  /** Reads into `to` from a position on, and returns the number of bytes. */
  read(to, at) {
    const found = this.#bytes.subarray(Math.min(at, this.size), Math.min(at + to.length, this.size));
    to.set(found);
    return found.length;
  }

  write(from, at) {
    const end = at + from.length;
    if (end > this.#bytes.length) this.#grow(Math.max(end, 2 * this.#bytes.length, 256), end);
    this.#bytes.set(from, at);
    this.size = Math.max(this.size, end);
    this.changed = Date.now();
    return from.length;
  }

  #grow(wanted, needed) {
    for (const capacity of [wanted, needed]) {
      try {
        const bytes = new Uint8Array(capacity);
        bytes.set(this.#bytes.subarray(0, this.size));
        this.#bytes = bytes;
        return;
      } catch {} // the host has not enough memory
    }
    fail(E.NOSPC);
  }

  clear() {
    this.#bytes = new Uint8Array(0);
    this.size = 0;
    this.changed = Date.now();
  }

  copy() {
    return this.#bytes.slice(0, this.size);
  }
}

/** A device: it is read and written like a file, and ignores positions. */
export class Device extends Node {
  constructor(read, write) {
    super();
    this.read = read;
    this.write = write;
  }
}

const MOST_RANDOM = 65536; // the maximum of crypto.getRandomValues()
const takeAll = (from) => from.length;

const DEVICES = {
  null: () => new Device(() => 0, takeAll),
  zero: () => new Device((to) => to.fill(0).length, takeAll),
  full: () => new Device((to) => to.fill(0).length, () => fail(E.NOSPC)),
  urandom: () => {
    const read = (to) => {
      for (let at = 0; at < to.length; at += MOST_RANDOM) {
        to.set(random(new Uint8Array(Math.min(MOST_RANDOM, to.length - at))), at);
      }
      return to.length;
    };
    return new Device(read, takeAll);
  },
};

export class FileSystem {
  #root = new Folder();

  constructor() {
    const devices = this.makeFolder("/dev");
    for (const [name, make] of Object.entries(DEVICES)) devices.entries.set(name, make());
    this.makeFolder("/tmp");
  }

  /** The components of a path, which starts at the root, with or without a "/". */
  #names(path) {
    if (path.includes("\0")) fail(E.INVAL);
    const names = [];
    for (const name of path.split("/")) {
      if (name === "..") names.pop();
      else if (name !== "" && name !== ".") names.push(name);
    }
    return names;
  }

  /** The node at a path, or null if only its last component is missing. */
  find(path) {
    const names = this.#names(path);
    let node = this.#root;
    for (const [index, name] of names.entries()) {
      if (!(node instanceof Folder)) fail(E.NOTDIR);
      node = node.entries.get(name);
      if (node === undefined) return index === names.length - 1 ? null : fail(E.NOENT);
    }
    if (path.endsWith("/") && !(node instanceof Folder)) fail(E.NOTDIR);
    return node;
  }

  /** The parent folder of a path, and the path's last component. */
  #place(path) {
    const names = this.#names(path);
    const name = names.pop();
    if (name === undefined) fail(E.EXIST);
    const folder = this.find(names.join("/"));
    if (folder === null) fail(E.NOENT);
    if (!(folder instanceof Folder)) fail(E.NOTDIR);
    return { folder, name };
  }

  /** Finds or creates a file. */
  open(path, { create = false, exclusive = false, truncate = false, folder = false } = {}) {
    let node = this.find(path);
    if (node === null) {
      if (!create) fail(E.NOENT);
      if (path.endsWith("/")) fail(E.ISDIR);
      node = new File();
      const { folder, name } = this.#place(path);
      folder.entries.set(name, node);
    } else if (create && exclusive) fail(E.EXIST);
    if (folder && !(node instanceof Folder)) fail(E.NOTDIR);
    if (truncate && node instanceof Folder) fail(E.ISDIR);
    if (truncate && node instanceof File) node.clear();
    return node;
  }

  addFolder(path) {
    if (this.find(path) !== null) fail(E.EXIST);
    const { folder, name } = this.#place(path);
    folder.entries.set(name, new Folder());
  }

  /** Creates a folder and its missing parents, and returns it. */
  makeFolder(path) {
    let node = this.#root;
    for (const name of this.#names(path)) {
      if (!(node instanceof Folder)) fail(E.NOTDIR);
      if (!node.entries.has(name)) node.entries.set(name, new Folder());
      node = node.entries.get(name);
    }
    return node instanceof Folder ? node : fail(E.NOTDIR);
  }

  removeFile(path) {
    const node = this.find(path) ?? fail(E.NOENT);
    if (node instanceof Folder) fail(E.ISDIR);
    const { folder, name } = this.#place(path);
    folder.entries.delete(name);
  }

  removeFolder(path) {
    const node = this.find(path) ?? fail(E.NOENT);
    if (!(node instanceof Folder)) fail(E.NOTDIR);
    if (node.entries.size > 0) fail(E.NOTEMPTY);
    const { folder, name } = this.#place(path);
    folder.entries.delete(name);
  }

  #leadsThrough(path, folder) {
    const names = this.#names(path);
    return names.some((_, end) => this.find(names.slice(0, end).join("/")) === folder);
  }

  rename(from, to) {
    const node = this.find(from) ?? fail(E.NOENT);
    const there = this.find(to);
    if (there === node) return;
    const isFolder = node instanceof Folder;
    if (isFolder && this.#leadsThrough(to, node)) fail(E.INVAL); // it would be moved into itself
    if (there instanceof Folder) {
      if (!isFolder) fail(E.ISDIR);
      if (there.entries.size > 0) fail(E.NOTEMPTY);
    } else if (there !== null && isFolder) fail(E.NOTDIR);
    const source = this.#place(from);
    const target = this.#place(to);
    target.folder.entries.set(target.name, node);
    source.folder.entries.delete(source.name);
  }
}
