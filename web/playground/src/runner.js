// Runs scripts, each in a new Lua state, like a separate process, on the same store.

import { Lua, LuaError } from "luat-kv/lua";

export class Runner {
  #stop = null;

  get running() {
    return this.#stop !== null;
  }

  /**
   * Runs a script. Returns { values, error, ms }: its results or its error, and the time. `files` is a Map by path, and
   * `path` is the file that runs.
   */
  async run(store, { path, files, print }) {
    const stop = new AbortController();
    this.#stop = stop;
    const began = performance.now();
    let lua = null;
    try {
      lua = await Lua.create({ kv: store, print });
      for (const [name, text] of files) lua.writeFile(name, text);
      const values = await lua.run(files.get(path), { name: path, signal: stop.signal });
      return { values, error: null, ms: performance.now() - began };
    } catch (error) {
      return { values: [], error, ms: performance.now() - began };
    } finally {
      end(lua);
      this.#stop = null;
    }
  }

  stop() {
    this.#stop?.abort();
  }
}

function end(lua) {
  try {
    lua?.close();
  } catch {} // the instance has ended, and run() has reported it
}

/**
 * Returns the position of an error: the innermost one in a file that the user can see, as { path, line, message }, or
 * null. The message does not contain the position.
 */
export function placeOf(error, files) {
  if (!(error instanceof LuaError)) return null;
  let [found, rest] = [null, error.message];
  // The message about a file that could not be compiled follows the position of the line that loads it.
  for (let place; (place = /^(\S[^:\n]*):(\d+): /.exec(rest)) !== null;) {
    rest = rest.slice(place[0].length);
    const path = pathOf(place[1], files);
    if (path !== undefined) found = { path, line: Number(place[2]), message: rest };
  }
  if (found !== null) return found;
  for (const [, source, line] of error.traceback.matchAll(/^\s*(\S[^:\n]*):(\d+):/gm)) {
    const path = pathOf(source, files);
    if (path !== undefined) return { path, line: Number(line), message: error.message };
  }
  return null;
}

/** Lua shortens long names to three dots and their end. */
function pathOf(source, files) {
  if (files.has(source)) return source;
  return source?.startsWith("...") ? [...files.keys()].find((path) => path.endsWith(source.slice(3))) : undefined;
}

export const isStopped = (error) => error instanceof LuaError && error.stopped !== null;
export const isDead = (error) => error?.code === "PANIC";
export const isFull = (error) => error?.code === "NOMEM" || /NOMEM|not enough memory/.test(error?.message ?? "");
