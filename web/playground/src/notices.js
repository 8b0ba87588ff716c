// Notices to the user, at the top of the page, until they are dismissed.

import { $, h } from "./dom.js";

const shown = new Map();

/** Shows a notice, which replaces an earlier one with the same `id`. `actions` are [label, function] pairs. */
export function notify(id, text, actions = []) {
  if (shown.get(id)?.dataset.text === text) return; // already shown
  dismiss(id);
  const buttons = actions.map(([label, act]) => {
    const button = h("button", { type: "button" }, label);
    button.addEventListener("click", () => {
      dismiss(id);
      act();
    });
    return button;
  });
  const close = h("button", { type: "button", className: "quiet", "aria-label": "Dismiss this notice" }, "×");
  close.addEventListener("click", () => dismiss(id));
  const notice = h("div", { className: "notice", role: "alert" }, h("p", {}, text), ...buttons, close);
  notice.dataset.text = text;
  shown.set(id, notice);
  $("notices").append(notice);
}

export function dismiss(id) {
  shown.get(id)?.remove();
  shown.delete(id);
}
