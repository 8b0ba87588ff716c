// The store that the page and its scripts share: in memory, or kept across reloads when the user wants that.

import { Store } from "luat-kv";

const NAME = "playground";
const SETTING = "luat_kv.playground.keep";
/** Enough to try things; a script that wants more is told so before the tab is in trouble. */
const MAX_MEMORY = 256 * 1024 * 1024;

/** The browser may refuse this to a page; then it does not remember. */
const setting = {
  get on() {
    try {
      return localStorage.getItem(SETTING) === "on";
    } catch {
      return false;
    }
  },
  set on(value) {
    try {
      value ? localStorage.setItem(SETTING, "on") : localStorage.removeItem(SETTING);
    } catch {}
  },
};

export class Session {
  /** The store there is; another one after keep() and restart(). */
  store = null;
  /** Whether it is kept. */
  kept = false;
  #onError;

  /** `onError` is told when what is kept could not be written. */
  constructor(onError) {
    this.#onError = onError;
  }

  async #memory() {
    return Store.open({ maxMemory: MAX_MEMORY });
  }

  async #persisted(options) {
    return Store.open({ persist: "indexeddb", name: NAME, maxMemory: MAX_MEMORY, onError: this.#onError, ...options });
  }

  /** Opens the store. Answers null, or the error for which it could not be the kept one and is in memory instead. */
  async open() {
    if (!setting.on) {
      this.store = await this.#memory();
      return null;
    }
    try {
      this.store = await this.#persisted();
      this.kept = true;
      return null;
    } catch (error) {
      this.store = await this.#memory();
      this.kept = false;
      return error;
    }
  }

  /**
   * From now on, keep the store, or keep it no longer. What is in it goes along. With `recover`, what was kept and is
   * damaged is opened as it was before the damage.
   */
  async keep(isKept, { recover = false } = {}) {
    if (isKept === this.kept) return;
    const next = isKept ? await this.#persisted({ recover }) : await this.#memory();
    try {
      copy(this.store, next);
      await next.flush();
    } catch (error) {
      await next.close().catch(() => {});
      throw error;
    }
    const before = this.store;
    this.store = next;
    this.kept = isKept;
    setting.on = isKept;
    // What was kept is to be found nowhere any more.
    if (!isKept) for (const name of before.namespaces()) before.namespace(name).sync.clear();
    await before.close();
  }

  /** Leaves a store that has died for a new one. What was kept is there again. Answers as open() does. */
  async restart() {
    await this.store?.close().catch(() => {});
    this.store = null;
    return this.open();
  }

  /** Throws away what was kept, where it cannot be read. */
  async forget() {
    return Store.delete({ persist: "indexeddb", name: NAME });
  }
}

function copy(from, to) {
  for (const name of from.namespaces()) {
    to.namespace(name).sync.import(from.namespace(name).sync.export(), { replace: true });
  }
}
