// A key's row in the table, and the row below it with the whole value.

import { h, setText } from "../dom.js";
import { exactly, remaining } from "./expiry.js";
import { inFull, preview } from "./value.js";

let ids = 0;

export class Row {
  #read;
  #entry = null;
  #value;
  #metadata;
  #expiry;
  #open;
  #detail = null;
  #id = `detail-${++ids}`;

  /** `read()` returns the value as an ArrayBuffer or null, `remove()` deletes the key, `changed()` updates the rows. */
  constructor({ namespace, name }, { read, remove, changed }) {
    this.#read = read;
    this.#open = h(
      "button",
      { type: "button", className: "open", title: name, "aria-expanded": "false" },
      h("span", {}, name),
    );
    this.#open.addEventListener("click", () => {
      this.#toggle();
      changed();
    });
    this.delete = h("button", {
      type: "button",
      className: "remove",
      "aria-label": `Delete ${name} of ${namespace}`,
      title: "Delete",
    });
    this.delete.addEventListener("click", remove);
    this.#value = h("td", { className: "value" });
    this.#metadata = h("span");
    this.#expiry = h("td", { className: "expiry" });
    this.element = h(
      "tr",
      { className: "row" },
      h("th", { scope: "row", className: "key" }, this.#open),
      this.#value,
      h("td", { className: "metadata" }, this.#metadata),
      this.#expiry,
      h("td", { className: "act" }, this.delete),
    );
    this.element.addEventListener("animationend", () => this.element.classList.remove("fresh"));
  }

  /** The elements in the table: one, or two if the row is open. */
  get elements() {
    return this.#detail === null ? [this.element] : [this.element, this.#detail];
  }

  /** Shows an entry of a list. Reads its value only if its version has changed. Returns whether it has. */
  update(entry) {
    const isOther = entry.version !== this.#entry?.version;
    const isTouched = entry.expiration !== this.#entry?.expiration;
    this.#entry = entry;
    if (!isOther && !isTouched) return false;
    this.#expiry.title = entry.expiration === undefined ? "Never expires" : exactly(entry.expiration);
    if (isOther) this.#showValue();
    if (this.#detail !== null) this.#fill();
    return isOther;
  }

  /** Shows the remaining lifetime. Returns whether there is one. */
  tick(now) {
    const { expiration } = this.#entry;
    setText(this.#expiry, remaining(expiration, now));
    this.#expiry.classList.toggle("soon", expiration - now < 10);
    return expiration !== undefined;
  }

  #showValue() {
    const buffer = this.#read();
    const { kind, text } = buffer === null ? { kind: "empty", text: "gone" } : preview(buffer);
    const badge = kind === "bytes" ? [h("span", { className: "badge" }, "bytes")] : [];
    this.#value.replaceChildren(h("span", { className: kind }, ...badge, text));
    const { metadata } = this.#entry;
    const json = metadata === undefined ? "–" : JSON.stringify(metadata);
    setText(this.#metadata, json.length > 160 ? `${json.slice(0, 160)}…` : json);
  }

  #toggle() {
    const isOpen = this.#detail === null;
    this.#open.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) {
      this.#detail = h("tr", { className: "detail", id: this.#id });
      this.#open.setAttribute("aria-controls", this.#id);
      this.#fill();
    } else {
      this.#detail = null;
      this.#open.removeAttribute("aria-controls");
    }
  }

  #fill() {
    const { name, expiration, metadata, version } = this.#entry;
    const buffer = this.#read();
    const value = buffer === null ? { about: "gone", text: "" } : inFull(buffer);
    const parts = [
      ["Key", name],
      [`Value (${value.about})`, h("pre", { tabIndex: 0, role: "group", "aria-label": `Value of ${name}` }, value.text)],
      ["Metadata", metadata === undefined ? "none" : h("pre", {}, JSON.stringify(metadata, null, 2))],
      ["Expires", exactly(expiration)],
      ["Version", version],
    ];
    const list = h("dl", {}, ...parts.flatMap(([term, text]) => [h("dt", {}, term), h("dd", {}, text)]));
    this.#detail.replaceChildren(h("td", { colSpan: 5 }, list));
  }
}
