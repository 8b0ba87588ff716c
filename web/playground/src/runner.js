// Running a script: each in a Lua of its own, as another process would be, on the one store.

import { Lua, LuaError } from "luat-kv/lua";

export class Runner {
  #stop = null;

  get running() {
    return this.#stop !== null;
  }

  /**
   * Runs a script. Answers { values, error, ms }: what it returned, or why it did not. `files` is a Map by path, and
   * `path` is which of them runs.
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
  } catch {} // it has died, and run() said so
}

/**
 * Where in the files an error is: the deepest of the places that the user can see, as { path, line, message }, or null.
 * The message is then without what tells the place.
 */
export function placeOf(error, files) {
  if (!(error instanceof LuaError)) return null;
  let [found, rest] = [null, error.message];
  // A file that could not be compiled is told of after the line that asked for it.
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

/** Lua shortens long names: to three dots and their end. */
function pathOf(source, files) {
  if (files.has(source)) return source;
  return source?.startsWith("...") ? [...files.keys()].find((path) => path.endsWith(source.slice(3))) : undefined;
}

export const isStopped = (error) => error instanceof LuaError && error.stopped !== null;
export const isDead = (error) => error?.code === "PANIC";
export const isFull = (error) => error?.code === "NOMEM" || /NOMEM|not enough memory/.test(error?.message ?? "");
