// The rows of the table. Rows that remain keep their elements, and so the focus, the selection, and whether they are
// open.

import { h, plural, setText } from "../dom.js";
import { Row } from "./row.js";

export class Table {
  #root;
  #actions;
  #groups = new Map();
  #rows = new Map();
  #order = [];

  /** `actions` are read(entry), which returns a value, and remove(entry). */
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
  }

  /**
   * Shows these entries, in their order. `counts` has the number of keys of each namespace. Marks changed entries if
   * `isMarked`.
   */
  show(entries, { counts, isMarked }) {
    const before = this.#rows;
    this.#rows = new Map();
    this.#order = [];
    for (const entry of entries) {
      const id = JSON.stringify([entry.namespace, entry.name]);
      const row = before.get(id) ?? this.#newRow(entry);
      this.#rows.set(id, row);
      this.#order.push({ namespace: entry.namespace, row });
      if (row.update(entry) && isMarked) mark(row.element);
    }
    this.#place(counts);
  }

  /** Shows the remaining lifetimes. Returns whether there are any. */
  tick(now) {
    return this.#order.reduce((isAny, { row }) => row.tick(now) || isAny, false);
  }

  #newRow(entry) {
    const { namespace, name } = entry;
    return new Row(entry, {
      read: () => this.#actions.read({ namespace, name }),
      remove: () => this.#actions.remove({ namespace, name }),
      changed: () => this.#place(null),
    });
  }

  #place(counts) {
    const inGroups = new Map();
    for (const { namespace, row } of this.#order) {
      if (!inGroups.has(namespace)) inGroups.set(namespace, []);
      inGroups.get(namespace).push(...row.elements);
    }
    const before = this.#groups;
    this.#groups = new Map();
    const bodies = [];
    for (const [namespace, elements] of inGroups) {
      const group = before.get(namespace) ?? newGroup(namespace);
      this.#groups.set(namespace, group);
      if (counts) setText(group.count, plural(counts.get(namespace)?.live ?? 0, "key"));
      arrange(group.body, [group.heading, ...elements]);
      bodies.push(group.body);
    }
    arrange(this.#root, [this.#root.caption, this.#root.tHead, ...bodies]);
  }

  /** Sets the focus after the row of a key was removed: to the row that is now in its place. */
  placeOf({ namespace, name }) {
    return [...this.#rows.keys()].indexOf(JSON.stringify([namespace, name]));
  }

  focus(place) {
    const { row } = this.#order[Math.min(place, this.#order.length - 1)] ?? {};
    row?.delete.focus();
    return row !== undefined;
  }
}

function newGroup(namespace) {
  const count = h("span", {});
  const heading = h(
    "tr",
    { className: "group" },
    h("th", { scope: "rowgroup", colSpan: 5 }, h("b", {}, namespace), count),
  );
  return { body: h("tbody", {}), heading, count };
}

/** Sets the children of an element. A child that is already in its place is not moved. */
function arrange(parent, wanted) {
  const kept = new Set(wanted);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  for (const [index, child] of wanted.entries()) {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  }
}

function mark(element) {
  element.classList.remove("fresh");
  void element.offsetWidth; // restarts the animation
  element.classList.add("fresh");
}
