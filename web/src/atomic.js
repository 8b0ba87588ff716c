import { Commit } from "./commit.js";
import { Core, places } from "./core.js";
import { invalid, kind, shown } from "./error.js";
import * as options from "./options.js";
import { storable } from "./values.js";

/** Changes that are collected, and then applied all together or not at all. */
export class Atomic {
  #core;
  #store;
  #namespace = null;
  /** The steps: functions that take a Commit. */
  #steps = [];
  #committed = false;

  /** Only atomic() of a store or a namespace calls it. */
  constructor(core, store) {
    if (!(core instanceof Core)) throw new TypeError("an Atomic comes from atomic() of a store or a namespace");
    this.#core = core;
    this.#store = store;
  }

  #open() {
    if (this.#committed) throw invalid("this batch was committed");
    return this.#core.open();
  }

  namespace(given) {
    this.#open();
    const place = places.get(given);
    if (place !== undefined) {
      if (place.core !== this.#core) throw invalid("the namespace is one of another store");
      this.#namespace = place.name;
    } else {
      this.#namespace = this.#store.namespace(given).name;
    }
    return this;
  }

  #add(given, step) {
    const { limits } = this.#open();
    const namespace = this.#namespace;
    if (namespace === null) throw invalid("this batch has no namespace yet: call namespace() first");
    const name = options.key(given, limits);
    const run = step(limits);
    this.#open(); // a getter of the caller may have closed or committed it
    this.#steps.push((commit) => commit.step(namespace, name, run));
    return this;
  }

  check(given, version) {
    return this.#add(given, () => {
      if (version === undefined || (version !== null && typeof version !== "string")) {
        throw new TypeError(`version must be a string, or null where the key must be missing, not ${kind(version)}`);
      }
      if (version === "") throw invalid("version is empty: where the key must be missing, it is null");
      if (version !== null && !/^[\w-]{16}$/.test(version)) throw invalid(`${shown(version)} is not a version`);
      return (commit, ns) => commit.check(ns, version);
    });
  }

  put(given, value, settings) {
    return this.#add(given, (limits) => {
      const prepared = options.put(settings, limits);
      const stored = storable(value);
      options.checkValue(stored, limits);
      // The caller may change it before the commit.
      const own = typeof stored === "string" ? stored : stored.slice();
      return (commit, ns) => commit.put(ns, own, prepared);
    });
  }

  delete(given) {
    return this.#add(given, () => (commit, ns) => commit.delete(ns));
  }

  incr(given, by = 1, settings) {
    return this.#add(given, (limits) => {
      const amount = options.int64("by", by);
      const prepared = options.incr(settings, limits);
      return (commit, ns) => commit.incr(ns, amount, prepared);
    });
  }

  commit() {
    const core = this.#open();
    const commit = new Commit(core);
    try {
      for (const step of this.#steps) step(commit);
      const answer = commit.run();
      this.#committed = true;
      this.#steps = [];
      core.wrote();
      return answer;
    } finally {
      commit.free();
    }
  }
}
