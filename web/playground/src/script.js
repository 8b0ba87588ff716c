// The script: the selected example, its files, running and stopping it, and its result.

import { $, enable, h } from "./dom.js";
import { Editor } from "./editor.js";
import { examples, filesFor, groups } from "./examples.js";
import { Output } from "./output.js";
import { Runner, isStopped, placeOf } from "./runner.js";

const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

/** A file's short name: for a file of the site, with its folder. */
const shortName = (path) =>
  path
    .split("/")
    .slice(path.includes("/site/") ? -2 : -1)
    .join("/");

export class Script {
  #runner = new Runner();
  #output = new Output($("output"));
  #editor;
  #example = null;
  #path = null;
  #options;

  /** `storeOf()` returns the store; `onBusy(isBusy)` and `onError(error)` are called with the state of the run. */
  constructor(options) {
    this.#options = options;
    this.#editor = new Editor($("editor"), { onChange: () => this.#showReset() });
    this.#fillPicker();
    $("run-keys").textContent = isMac ? "⌘ ↵" : "Ctrl ↵";
    $("run").addEventListener("click", () => this.run());
    $("stop").addEventListener("click", () => this.#runner.stop());
    $("reset").addEventListener("click", () => this.#reset());
    $("wipe").addEventListener("click", () => this.#wipe());
    addEventListener("keydown", (event) => this.#key(event), { capture: true });
    addEventListener("hashchange", () => this.#pick(location.hash.slice(1)));
    this.#pick(location.hash.slice(1) || examples[0].id);
  }

  get running() {
    return this.#runner.running;
  }

  /** The default status. */
  set state(text) {
    $("state").textContent = text;
  }

  #key(event) {
    if ($("dialog").open || event.isComposing) return;
    if (event.key === "Escape" && this.running) this.#runner.stop();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.run();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #fillPicker() {
    const select = $("example");
    for (const group of groups) {
      const options = group.examples.map(({ id, title }) => h("option", { value: id }, title));
      select.append(h("optgroup", { label: group.title }, ...options));
    }
    select.addEventListener("change", () => {
      history.replaceState(null, "", `#${select.value}`);
      this.#pick(select.value);
    });
  }

  #pick(id) {
    const example = examples.find((example) => example.id === id) ?? examples[0];
    if (example === this.#example) return;
    this.#example = example;
    $("example").value = example.id;
    $("about").textContent = example.about;
    for (const { path, text } of example.files) if (!this.#editor.has(path)) this.#editor.set(path, text);
    this.#fillTabs();
    this.#open(example.files[0].path);
    this.#showReset();
  }

  #fillTabs() {
    const tabs = this.#example.files.map(({ path }) => {
      const tab = h(
        "button",
        { type: "button", role: "tab", id: `tab-${path}`, title: path, "aria-controls": "editor" },
        shortName(path),
      );
      tab.addEventListener("click", () => this.#open(path));
      return tab;
    });
    const list = $("files");
    list.hidden = tabs.length < 2;
    $("editor").role = list.hidden ? null : "tabpanel";
    $("editor").removeAttribute("aria-labelledby");
    list.replaceChildren(...tabs);
    list.onkeydown = (event) => this.#moveTab(event, tabs);
  }

  #moveTab(event, tabs) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = (tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length;
    tabs[at].focus();
    this.#open(this.#example.files[at].path);
    event.preventDefault();
  }

  #open(path) {
    this.#path = path;
    this.#editor.show(path);
    for (const tab of $("files").children) {
      const isOpen = tab.title === path;
      tab.setAttribute("aria-selected", String(isOpen));
      tab.tabIndex = isOpen ? 0 : -1;
      if (isOpen && !$("files").hidden) $("editor").setAttribute("aria-labelledby", tab.id);
    }
  }

  #showReset() {
    if (this.#example === null) return;
    const isSame = this.#example.files.every(({ path, text }) => this.#editor.text(path) === text);
    $("reset").hidden = isSame;
  }

  #reset() {
    for (const { path, text } of this.#example.files) this.#editor.set(path, text);
    this.#showReset();
    $("run").focus();
  }

  #wipe() {
    this.#output.clear();
    this.#editor.clearMarks();
    this.state = "";
    enable($("wipe"), false, $("run"));
  }

  async run() {
    const store = this.#options.storeOf();
    if (store === null || $("run").disabled) return; // it is also disabled while the store is changed
    const example = this.#example;
    const files = filesFor(example, (path) => this.#editor.text(path));
    this.#output.clear();
    this.#editor.clearMarks();
    this.#setBusy(true);
    const print = (line) => this.#output.print(line);
    const outcome = await this.#runner.run(store, { path: example.files[0].path, files, print });
    this.#output.flush();
    this.#output.values(outcome.values);
    this.state = stateOf(outcome);
    if (outcome.error !== null && !isStopped(outcome.error)) this.#fail(outcome.error, example, files);
    this.#setBusy(false);
    if (outcome.error !== null) this.#options.onError(outcome.error);
  }

  #setBusy(isBusy) {
    if (isBusy) {
      this.state = "Running…";
      enable($("stop"), true);
      enable($("run"), false, $("stop"));
    } else {
      enable($("run"), true);
      enable($("stop"), false, $("run"));
      enable($("wipe"), !this.#output.isEmpty);
    }
    document.body.classList.toggle("running", isBusy);
    this.#options.onBusy(isBusy);
  }

  #fail(error, example, files) {
    const found = placeOf(error, files);
    // There is no link to a file that the example does not show.
    const place = found && example.files.some(({ path }) => path === found.path) ? found : null;
    const message = error.message || String(error);
    const go = () => {
      if (this.#example !== example) {
        history.replaceState(null, "", `#${example.id}`);
        this.#pick(example.id);
      }
      if (this.#path !== place.path) this.#open(place.path);
      this.#editor.goTo(place.line);
    };
    this.#output.error({
      message: place?.message ?? message,
      traceback: error.traceback,
      place: place && { label: `${place.path}:${place.line}`, go },
    });
    if (place === null || this.#example !== example) return;
    if (this.#path !== place.path) this.#open(place.path);
    this.#editor.mark(place.line, place.message);
  }
}

function stateOf({ error, ms }) {
  const time = ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
  if (error === null) return `Done in ${time}`;
  return isStopped(error) ? `Stopped after ${time}` : `Failed after ${time}`;
}
