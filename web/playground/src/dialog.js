// Asks for confirmation before data is deleted.

import { $ } from "./dom.js";

/** Answers the last question. */
let answer = () => {};

/** Resolves to whether the user confirmed. */
export function ask({ title, text, yes }) {
  const dialog = $("dialog");
  // The event of a dialog that was closed comes later, maybe after the next question.
  answer(false);
  $("dialog-title").textContent = title;
  $("dialog-text").textContent = text;
  $("dialog-ok").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    answer = resolve;
    dialog.onclose = () => {
      if (!dialog.open) resolve(dialog.returnValue === "ok");
    };
  });
}
