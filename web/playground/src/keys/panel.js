// The view of the store: its namespaces and keys. It follows the store by watches.

import { ask } from "../dialog.js";
import { $, enable, h, number, plural, setText } from "../dom.js";
import { Follower } from "./follower.js";
import { countKeys, readPage } from "./page.js";
import { Table } from "./table.js";

const PAGE = 50;
/** The maximum number of namespaces in the menu. */
const MOST_NAMESPACES = 500;
/** The fraction of the time that updates may take. */
const SHARE = 0.1;

export class KeysPanel {
  #storeOf;
  #onError;
  #table;
  #names = "";
  #chosen = null;
  /** The positions at which this page and the pages before it begin. */
  #starts = [null];
  #next = null;
  #follower;
  /** The timer of the next update, and the time before which it must not be. */
  #timer = null;
  #rested = 0;
  /** The timer of the remaining lifetimes. */
  #clock = null;
  #isFirst = true;

  /** `storeOf()` returns the store, or null if there is none. */
  constructor({ storeOf, onError }) {
    this.#storeOf = storeOf;
    this.#onError = onError;
    this.#table = new Table($("table"), {
      read: ({ namespace, name }) => this.#try((store) => store.namespace(namespace).sync.get(name, "arrayBuffer")),
      remove: (key) => this.#remove(key),
    });
    this.#follower = new Follower({ changed: () => this.#refreshSoon(), onError });
    $("namespace").addEventListener("change", () => this.#choose());
    $("prefix").addEventListener("input", () => this.#first());
    $("previous").addEventListener("click", () => this.#turn(() => this.#starts.pop()));
    $("next").addEventListener("click", () => this.#turn(() => this.#starts.push(this.#next)));
    $("clear").addEventListener("click", () => this.#clear());
  }

  /** Sets whether a script runs. */
  set busy(isBusy) {
    this.#follower.busy = isBusy;
    this.refresh();
  }

  /** Shows another store. Its keys are not marked as new. */
  reset() {
    this.#isFirst = true;
    this.#first();
  }

  /** Clears the view after the store's instance has ended. */
  end() {
    this.#stopTimers();
    this.#follower.end();
    this.#table.show([], { counts: new Map(), isMarked: false });
    this.#starts = [null];
    this.#showNamespaces(new Map());
    this.#showCount(0, { rows: [], next: null });
    setText($("empty"), "The store has ended.");
  }

  refresh() {
    this.#stopTimers();
    const began = performance.now();
    try {
      const store = this.#storeOf();
      if (store !== null && !store.closed) this.#show(store);
    } catch (error) {
      this.#onError(error);
      return; // until the store is replaced, or another script runs
    }
    const ended = performance.now();
    this.#rested = ended + (ended - began) / SHARE;
    this.#tick();
  }

  #refreshSoon() {
    this.#timer ??= setTimeout(() => this.refresh(), this.#rested - performance.now());
  }

  #stopTimers() {
    clearTimeout(this.#timer);
    clearTimeout(this.#clock);
    this.#timer = null;
  }

  /** Shows the remaining lifetimes, each second if there are any. */
  #tick() {
    if (!this.#table.tick(Date.now() / 1000)) return;
    this.#clock = setTimeout(() => this.#tick(), 1005 - (Date.now() % 1000));
  }

  get #prefix() {
    return $("prefix").value;
  }

  #show(store) {
    this.#follower.follow(store, store.namespaces());
    const stats = store.stats().namespaces;
    const [namespace, prefix] = [this.#chosen, this.#prefix];
    let page;
    for (;;) {
      page = readPage(store, { namespace, prefix, from: this.#starts.at(-1), limit: PAGE });
      if (page.rows.length > 0 || this.#starts.length === 1) break;
      this.#starts.pop(); // the last page has no keys any more
    }
    this.#next = page.next;
    this.#table.show(page.rows, { counts: stats, isMarked: !this.#isFirst });
    this.#isFirst = false;
    this.#showNamespaces(stats);
    this.#showCount(countKeys(store, { namespace, prefix, stats }), page);
  }

  #showNamespaces(stats) {
    const live = [...stats].filter(([name, { live }]) => live > 0 || name === this.#chosen);
    if (this.#chosen !== null && !stats.has(this.#chosen)) live.push([this.#chosen, { live: 0 }]);
    const total = live.reduce((sum, [, { live }]) => sum + live, 0);
    const names = JSON.stringify(live);
    if (names === this.#names) return;
    this.#names = names;
    const shown = live.filter(([name], index) => index < MOST_NAMESPACES || name === this.#chosen);
    const options = shown.map(([name, { live }]) => h("option", { value: `=${name}` }, `${name} (${number(live)})`));
    if (live.length > shown.length) {
      options.push(h("option", { disabled: true }, `… and ${plural(live.length - shown.length, "other")}`));
    }
    const select = $("namespace");
    select.replaceChildren(h("option", { value: "" }, `All namespaces (${number(total)})`), ...options);
    select.value = this.#chosen === null ? "" : `=${this.#chosen}`;
  }

  #showCount(count, { rows, next }) {
    const first = (this.#starts.length - 1) * PAGE;
    const isPaged = next !== null || first > 0;
    const range = isPaged ? `${number(first + 1)}–${number(first + rows.length)} of ` : "";
    setText($("count"), count === 0 ? "" : range + plural(count, "key"));
    const empty = $("empty");
    empty.hidden = count > 0;
    setText(
      empty,
      this.#prefix === "" ? "No keys here yet. Run an example, and see them come." : "No key begins with that.",
    );
    $("table").hidden = count === 0;
    enable($("clear"), count > 0, $("prefix"));
    enable($("previous"), first > 0, $("next"));
    enable($("next"), next !== null, $("previous"));
    $("previous").hidden = $("next").hidden = !isPaged;
    this.count = count;
  }

  #choose() {
    const { value } = $("namespace");
    this.#chosen = value === "" ? null : value.slice(1);
    this.#first();
  }

  #first() {
    this.#turn(() => {
      this.#starts = [null];
    });
  }

  #turn(how) {
    how();
    this.#isFirst = true;
    this.refresh();
    $("table").parentElement.scrollTop = 0;
  }

  #remove(key) {
    const place = this.#table.placeOf(key);
    this.#try((store) => store.namespace(key.namespace).sync.delete(key.name));
    this.refresh();
    if (!this.#table.focus(place)) $("prefix").focus();
  }

  async #clear() {
    const [namespace, prefix] = [this.#chosen, this.#prefix];
    const where = namespace === null ? "all namespaces" : `the namespace “${namespace}”`;
    const which = prefix === "" ? "" : ` that begin with “${prefix}”`;
    const isYes = await ask({
      title: `Delete ${plural(this.count, "key")}?`,
      text: `All keys${which} in ${where} will be gone.`,
      yes: "Delete",
    });
    if (!isYes) return;
    this.#try((store) => {
      const names = namespace === null ? store.namespaces() : [namespace];
      for (const name of names) {
        const { sync } = store.namespace(name);
        prefix === "" ? sync.clear() : sync.deletePrefix(prefix);
      }
    });
    this.refresh();
  }

  /** Calls a function with the store. Returns its result, or null if it fails. */
  #try(use) {
    try {
      return use(this.#storeOf());
    } catch (error) {
      this.#onError(error);
      return null;
    }
  }
}
