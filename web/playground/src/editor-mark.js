// Marks the line with an error: coloured, with the message below it, until the text changes.

import { RangeSet, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, GutterMarker, WidgetType, gutterLineClass } from "@codemirror/view";

export const mark = StateEffect.define();
export const clearMark = StateEffect.define();

class Message extends WidgetType {
  constructor(text) {
    super();
    this.text = text;
  }

  eq(other) {
    return other.text === this.text;
  }

  toDOM() {
    const element = document.createElement("div");
    element.className = "cm-errorMessage";
    element.textContent = this.text;
    return element;
  }
}

const number = new (class extends GutterMarker {
  elementClass = "cm-errorNumber";
})();

const line = Decoration.line({ class: "cm-errorLine" });

const none = { decorations: Decoration.none, gutter: RangeSet.empty };

function marked(state, { at, message }) {
  const { from, to } = state.doc.lineAt(at);
  const widget = Decoration.widget({ widget: new Message(message), block: true, side: 1 });
  return {
    decorations: Decoration.set([line.range(from), widget.range(to)]),
    gutter: RangeSet.of([number.range(from)]),
  };
}

const field = StateField.define({
  create: () => none,
  update(value, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(mark)) return marked(transaction.state, effect.value);
      if (effect.is(clearMark)) return none;
    }
    return transaction.docChanged ? none : value;
  },
  provide: (field) => [
    EditorView.decorations.from(field, ({ decorations }) => decorations),
    gutterLineClass.from(field, ({ gutter }) => gutter),
  ],
});

export const marks = field;
