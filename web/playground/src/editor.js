// The Lua editor: CodeMirror, with a state for each file.

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { StreamLanguage, bracketMatching, indentOnInput, indentUnit } from "@codemirror/language";
import { lua } from "@codemirror/legacy-modes/mode/lua";
import { EditorState } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { clearMark, mark, marks } from "./editor-mark.js";
import { theme } from "./editor-theme.js";

export class Editor {
  #view;
  #states = new Map();
  #shown = null;
  #extensions;

  /** `onChange(path)` is called when the user has changed a file. */
  constructor(parent, { onChange }) {
    this.#extensions = [
      lineNumbers(),
      highlightActiveLineGutter(),
      highlightActiveLine(),
      history(),
      drawSelection(),
      indentOnInput(),
      indentUnit.of("  "),
      bracketMatching(),
      StreamLanguage.define(lua),
      EditorView.lineWrapping,
      // The Tab key moves to the next control, as everywhere. Ctrl+] indents.
      keymap.of([...defaultKeymap.filter(({ key }) => key !== "Mod-Enter" && key !== "Escape"), ...historyKeymap]),
      EditorView.contentAttributes.of({
        "aria-label": "Lua script",
        tabindex: "0", // it is focusable without this, but accessibility checkers do not know that
        spellcheck: "false",
        autocapitalize: "off",
      }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) onChange(this.#shown);
      }),
      marks,
      theme,
    ];
    this.#view = new EditorView({ parent });
  }

  /** Sets the text of a file, and clears its undo history. */
  set(path, text) {
    this.#states.set(path, EditorState.create({ doc: text, extensions: this.#extensions }));
    if (path === this.#shown) this.#view.setState(this.#states.get(path));
  }

  has(path) {
    return this.#states.has(path);
  }

  text(path) {
    return this.#state(path).doc.toString();
  }

  show(path) {
    if (this.#shown !== null) this.#states.set(this.#shown, this.#view.state);
    this.#shown = path;
    this.#view.setState(this.#states.get(path));
  }

  focus() {
    this.#view.focus();
  }

  /** Marks a line of the shown file with an error message. */
  mark(line, message) {
    const { doc } = this.#view.state;
    const at = doc.line(Math.max(1, Math.min(line, doc.lines))).from;
    this.#view.dispatch({ effects: [mark.of({ at, message }), EditorView.scrollIntoView(at, { y: "center" })] });
  }

  goTo(line) {
    const { doc } = this.#view.state;
    const at = doc.line(Math.max(1, Math.min(line, doc.lines))).from;
    this.#view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
    this.#view.focus();
  }

  clearMarks() {
    for (const [path, state] of this.#states) {
      if (path !== this.#shown) this.#states.set(path, state.update({ effects: clearMark.of(null) }).state);
    }
    this.#view.dispatch({ effects: clearMark.of(null) });
  }

  #state(path) {
    return path === this.#shown ? this.#view.state : this.#states.get(path);
  }
}
