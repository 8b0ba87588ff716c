// The editor uses the page's colours, so it follows the light and the dark theme.

import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const look = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "transparent", fontSize: "var(--code-size)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { padding: "10px 0", caretColor: "var(--accent)" },
  ".cm-line": { padding: "0 14px 0 8px" },
  ".cm-gutters": { color: "var(--muted)", backgroundColor: "transparent", border: "none" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "36px", padding: "0 6px 0 10px" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine, &.cm-focused .cm-activeLineGutter": { backgroundColor: "var(--active)" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--selection)", outline: "none" },
  "&.cm-focused .cm-nonmatchingBracket": { color: "var(--error)", backgroundColor: "transparent" },
  ".cm-errorLine, &.cm-focused .cm-activeLine.cm-errorLine": { backgroundColor: "var(--error-soft)" },
  ".cm-errorNumber": { color: "var(--error)", fontWeight: "700" },
  ".cm-errorMessage": {
    padding: "3px 14px 4px 8px",
    color: "var(--error)",
    backgroundColor: "var(--error-soft)",
    fontFamily: "var(--sans)",
    fontSize: "0.92em",
    overflowWrap: "anywhere",
  },
});

const style = HighlightStyle.define([
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.keyword, tags.controlKeyword, tags.operatorKeyword], color: "var(--keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--string)" },
  { tag: [tags.number, tags.bool, tags.atom, tags.null], color: "var(--number)" },
  { tag: [tags.standard(tags.name), tags.standard(tags.variableName)], color: "var(--builtin)" },
]);

export const theme = [look, syntaxHighlighting(style)];
