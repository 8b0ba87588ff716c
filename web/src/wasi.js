// The functions of WASI (preview 1) that Lua and Rust's standard library import: time, random numbers, the file system
// in memory, and a standard output that is split into lines. They give no access to files of the host.

import { LuatKVError } from "./error.js";
import { E, FileError, FileSystem, File, Folder } from "./files.js";
import { elapsed, random } from "./runtime.js";

const FOLDER = 3;
const FILE = 4;
const DEVICE = 2;
const ROOT = 3; // the descriptor of "/", which wasi-libc looks for when it starts
const ALL_RIGHTS = 0xffff_ffff_ffff_ffffn;
const RIGHT = { READ: 1n << 1n, WRITE: 1n << 6n };
const OPEN = { CREATE: 1, FOLDER: 2, EXCLUSIVE: 4, TRUNCATE: 8 };
const APPEND = 1;
/** The maximum number of open files of a Lua state. */
const MOST_OPEN = 1024;

const refuse = (code) => {
  throw new FileError(code);
};

/** Converts an error of the file system to one for JavaScript. */
function errorFor(path, error) {
  if (!(error instanceof FileError)) return error;
  const words = {
    [E.ISDIR]: "it is a folder",
    [E.NOTDIR]: "a folder of its path is a file",
    [E.NOSPC]: "there is not enough memory",
  };
  const code = error.code === E.NOSPC ? "NOMEM" : "INVALID";
  return new LuatKVError(code, `the file ${JSON.stringify(path)}: ${words[error.code] ?? error.message}`);
}

const kindOf = (node) => (node instanceof Folder ? FOLDER : node instanceof File ? FILE : DEVICE);

/** A path's bytes as a string with a character for each byte, so that different paths are different strings. */
const pathOf = (bytes) => {
  let path = "";
  for (const byte of bytes) path += String.fromCharCode(byte);
  return path;
};

/** Converts a path from JavaScript to the form of Lua's paths. */
const pathFrom = (text) => pathOf(new TextEncoder().encode(text));

/** The files of a Lua state: its file system, and its open files. */
export class Files {
  system = new FileSystem();
  #open = new Map();

  /** `write(bytes, isError)` gets the output to the standard output and the standard error. */
  constructor(write) {
    const output = (isError) => ({ write: (bytes) => (write(bytes, isError), bytes.length), read: () => 0 });
    this.#open.set(0, { node: { read: () => 0, write: () => 0 }, readable: true, writable: false });
    this.#open.set(1, { node: output(false), readable: false, writable: true });
    this.#open.set(2, { node: output(true), readable: false, writable: true });
    this.#open.set(ROOT, { node: this.system.find("/"), readable: true, writable: false });
  }

  get(descriptor) {
    const found = this.#open.get(descriptor);
    if (found === undefined) throw new FileError(E.BADF);
    return found;
  }

  add(opened) {
    for (let descriptor = ROOT + 1; descriptor < MOST_OPEN; descriptor++) {
      if (this.#open.has(descriptor)) continue;
      this.#open.set(descriptor, opened);
      return descriptor;
    }
    throw new FileError(E.MFILE);
  }

  close(descriptor) {
    if (!this.#open.has(descriptor)) throw new FileError(E.BADF);
    if (descriptor > ROOT) this.#open.delete(descriptor);
  }

  /** Writes a file for JavaScript. Creates missing folders. */
  put(path, bytes) {
    const name = pathFrom(path);
    try {
      this.system.makeFolder(name.slice(0, name.lastIndexOf("/") + 1));
      const node = this.system.open(name, { create: true, truncate: true });
      if (node instanceof Folder) refuse(E.ISDIR);
      node.write(bytes, 0);
    } catch (error) {
      throw errorFor(path, error);
    }
  }

  /** The content of a file, or null if it does not exist. */
  take(path) {
    try {
      const node = this.system.find(pathFrom(path));
      if (node === null || node instanceof File) return node?.copy() ?? null;
      return refuse(E.ISDIR);
    } catch (error) {
      if (error.code === E.NOENT || error.code === E.NOTDIR) return null;
      throw errorFor(path, error);
    }
  }

  renumber(from, to) {
    this.#open.set(to, this.get(from));
    if (from !== to) this.#open.delete(from);
  }
}

/** The imports, for an engine. `files()` returns the Files of the running Lua state. */
export function wasi(engine, files) {
  const memory = () => engine.memory.buffer;
  const bytesAt = (at, length) => new Uint8Array(memory(), at >>> 0, length >>> 0);
  const view = () => new DataView(memory());
  const current = files;
  const pathAt = (directory, at, length) => {
    if (current().get(directory).node !== current().system.find("/")) refuse(E.NOTDIR);
    return pathOf(bytesAt(at, length));
  };
  const implementation = {
    ...environment(view),
    ...descriptors({ view, bytesAt, current }),
    ...paths({ view, bytesAt, current, pathAt }),
  };
  const answered = {};
  for (const [name, run] of Object.entries(implementation)) answered[name] = answering(run);
  return new Proxy(answered, { get: (known, name) => known[name] ?? (() => E.NOSYS) });
}


/** Returns errors as an errno, since an exception must not unwind through the module. */
const answering = (run) => (...values) => {
  try {
    run(...values);
    return E.OK;
  } catch (error) {
    if (error instanceof Exit) throw error;
    return error instanceof FileError ? error.code : E.IO;
  }
};

/** Ends the instance: Rust or C called exit() or abort(). */
class Exit extends Error {}

function environment(view) {
  const setPair = (first, second) => {
    view().setUint32(first, 0, true);
    view().setUint32(second, 0, true);
  };
  return {
    environ_get() {},
    environ_sizes_get: setPair,
    args_get() {},
    args_sizes_get: setPair,
    clock_time_get(clock, _precision, to) {
      const milliseconds = clock === 0 ? Date.now() : elapsed();
      view().setBigUint64(to, BigInt(Math.round(milliseconds * 1e6)), true);
    },
    clock_res_get(_clock, to) {
      view().setBigUint64(to, 1_000_000n, true);
    },
    random_get(to, length) {
      const bytes = new Uint8Array(view().buffer, to >>> 0, length >>> 0);
      for (let at = 0; at < bytes.length; at += 65536) random(bytes.subarray(at, at + 65536));
    },
    sched_yield() {},
    proc_exit(code) {
      throw new Exit(`exit(${code})`);
    },
  };
}

function setStatus(view, to, node) {
  for (let at = 0; at < 64; at += 8) view.setBigUint64(to + at, 0n, true);
  const changed = BigInt(node.changed ?? 0) * 1_000_000n;
  view.setBigUint64(to + 8, node.inode ?? 0n, true);
  view.setUint8(to + 16, kindOf(node));
  view.setBigUint64(to + 24, 1n, true);
  view.setBigUint64(to + 32, BigInt(node.size ?? 0), true);
  for (const at of [40, 48, 56]) view.setBigUint64(to + at, changed, true);
}

/** Calls a function with each buffer of a list of iovecs, until one is not used completely. */
function eachPiece({ view, bytesAt }, list, count, use) {
  let sum = 0;
  for (let index = 0; index < count; index++) {
    const at = list + 8 * index;
    const length = view().getUint32(at + 4, true);
    if (length === 0) continue;
    const done = use(bytesAt(view().getUint32(at, true), length));
    sum += done;
    if (done < length) break;
  }
  return sum;
}

function descriptors(host) {
  const { view, bytesAt, current } = host;
  const transfer = (list, count, to, opened, use) => {
    const sum = eachPiece(host, list >>> 0, count, (bytes) => {
      const done = use(bytes);
      opened.at += done;
      return done;
    });
    view().setUint32(to, sum, true);
  };
  return {
    fd_close: (descriptor) => current().close(descriptor),
    fd_datasync: (descriptor) => void current().get(descriptor),
    fd_sync: (descriptor) => void current().get(descriptor),
    fd_renumber: (from, to) => current().renumber(from, to),
    fd_fdstat_get(descriptor, to) {
      const opened = current().get(descriptor);
      for (let at = 0; at < 24; at += 8) view().setBigUint64(to + at, 0n, true);
      view().setUint8(to, kindOf(opened.node));
      view().setUint16(to + 2, opened.append ? APPEND : 0, true);
      const rights = (opened.readable ? RIGHT.READ : 0n) | (opened.writable ? RIGHT.WRITE : 0n);
      view().setBigUint64(to + 8, descriptor === ROOT ? ALL_RIGHTS : rights, true);
      view().setBigUint64(to + 16, descriptor === ROOT ? ALL_RIGHTS : 0n, true); // of files opened in it
    },
    fd_fdstat_set_flags(descriptor, flags) {
      current().get(descriptor).append = (flags & APPEND) !== 0;
    },
    fd_filestat_get: (descriptor, to) => setStatus(view(), to, current().get(descriptor).node),
    fd_prestat_get(descriptor, to) {
      if (descriptor !== ROOT) refuse(E.BADF);
      view().setUint32(to, 0, true);
      view().setUint32(to + 4, 1, true);
    },
    fd_prestat_dir_name(descriptor, to, length) {
      if (descriptor !== ROOT || length < 1) refuse(E.BADF);
      bytesAt(to, 1)[0] = 0x2f;
    },
    fd_read(descriptor, list, count, to) {
      const opened = current().get(descriptor);
      if (!opened.readable) refuse(E.BADF);
      if (opened.node instanceof Folder) refuse(E.ISDIR);
      transfer(list, count, to, opened, (bytes) => opened.node.read(bytes, opened.at));
    },
    fd_write(descriptor, list, count, to) {
      const opened = current().get(descriptor);
      if (!opened.writable) refuse(E.BADF);
      if (opened.append) opened.at = opened.node.size;
      transfer(list, count, to, opened, (bytes) => opened.node.write(bytes, opened.at));
    },
    fd_seek(descriptor, offset, from, to) {
      const opened = current().get(descriptor);
      if (!(opened.node instanceof File)) refuse(E.SPIPE);
      const at = Number(offset) + [0, opened.at, opened.node.size][from];
      if (!Number.isSafeInteger(at) || at < 0) refuse(E.INVAL);
      opened.at = at;
      view().setBigUint64(to, BigInt(at), true);
    },
    fd_tell(descriptor, to) {
      view().setBigUint64(to, BigInt(current().get(descriptor).at), true);
    },
  };
}

function paths({ view, current, pathAt }) {
  return {
    path_create_directory: (directory, path, length) => current().system.addFolder(pathAt(directory, path, length)),
    path_remove_directory: (directory, path, length) => current().system.removeFolder(pathAt(directory, path, length)),
    path_unlink_file: (directory, path, length) => current().system.removeFile(pathAt(directory, path, length)),
    path_rename(from, path, length, to, newPath, newLength) {
      current().system.rename(pathAt(from, path, length), pathAt(to, newPath, newLength));
    },
    path_filestat_get(directory, _flags, path, length, to) {
      const node = current().system.find(pathAt(directory, path, length));
      setStatus(view(), to, node ?? refuse(E.NOENT));
    },
    path_open(directory, _follow, path, length, how, rights, _inherited, flags, to) {
      const readable = (rights & RIGHT.READ) !== 0n;
      const writable = (rights & RIGHT.WRITE) !== 0n;
      const name = pathAt(directory, path, length);
      if (writable && current().system.find(name) instanceof Folder) refuse(E.ISDIR);
      const node = current().system.open(name, {
        create: (how & OPEN.CREATE) !== 0,
        folder: (how & OPEN.FOLDER) !== 0,
        exclusive: (how & OPEN.EXCLUSIVE) !== 0,
        truncate: (how & OPEN.TRUNCATE) !== 0,
      });
      const opened = { node, readable, writable, append: (flags & APPEND) !== 0, at: 0 };
      view().setUint32(to, current().add(opened), true);
    },
  };
}
