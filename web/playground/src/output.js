// The output of a script, and how it ended.

import { h, number, plural } from "./dom.js";

/** The maximum output of a run that is shown. More would make the page slow. */
const MOST_LINES = 2000;
const MOST_CHARACTERS = 400_000;
const LONGEST_LINE = 4000;
/** The interval at which output is added to the page, in milliseconds. */
const DELAY = 30;

export class Output {
  #root;
  #waiting = [];
  #timer = null;
  #lines = 0;
  #characters = 0;
  #left = 0;
  #note = null;

  constructor(root) {
    this.#root = root;
  }

  clear() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting = [];
    this.#lines = this.#characters = this.#left = 0;
    this.#note = null;
    this.#root.replaceChildren();
  }

  get isEmpty() {
    return this.#root.childElementCount === 0;
  }

  print(line) {
    if (this.#lines >= MOST_LINES || this.#characters >= MOST_CHARACTERS) this.#left++;
    else {
      this.#lines++;
      this.#characters += Math.min(line.length, LONGEST_LINE);
      this.#waiting.push(line);
    }
    this.#timer ??= setTimeout(() => this.flush(), DELAY);
  }

  /** Shows the results of a script. */
  values(values) {
    if (values.length === 0) return;
    this.flush();
    const text = values.map((value) => shown(value)).join("    ");
    this.#add(h("div", { className: "values" }, h("span", { className: "unseen" }, "Returned: "), cut(text)));
  }

  /** `place` is the label and function of a link to the position of the error. */
  error({ message, traceback, place }) {
    this.flush();
    const line = h("div", { className: "error" });
    if (place) {
      const link = h("button", { type: "button", className: "link", title: "Go to this line" }, place.label);
      link.addEventListener("click", place.go);
      line.append(link, `: ${message}`);
    } else line.append(message);
    if (traceback) {
      line.append(h("details", {}, h("summary", {}, "Traceback"), h("pre", {}, cut(traceback))));
    }
    this.#add(line);
  }

  flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#waiting.length > 0) this.#add(...this.#waiting.map((line) => h("div", {}, cut(line) || "\u200b")));
    this.#waiting = [];
    if (this.#left === 0) return;
    this.#note ??= h("div", { className: "note" });
    this.#note.textContent = `… and ${plural(this.#left, "more line")}: the first ${number(this.#lines)} are shown`;
    this.#add(this.#note);
  }

  /** Scrolls to the end, unless the user has scrolled away from it. */
  #add(...elements) {
    const root = this.#root;
    const isAtEnd = root.scrollTop + root.clientHeight >= root.scrollHeight - 24;
    root.append(...elements);
    if (isAtEnd) root.scrollTop = root.scrollHeight;
  }
}

const cut = (line) =>
  line.length > LONGEST_LINE
    ? `${line.slice(0, LONGEST_LINE)}… (${number(line.length - LONGEST_LINE)} more characters)`
    : line;

function shown(value) {
  if (value === null) return "nil";
  if (value instanceof Uint8Array) return plural(value.length, "byte");
  return typeof value === "object" || typeof value === "string" ? JSON.stringify(value) : String(value);
}
