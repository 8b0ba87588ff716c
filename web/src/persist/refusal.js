// Converts errors of the browser's storage to errors of this package: first the reason and what can be done about it,
// then the browser's own message.

import { LuatKVError, invalid } from "../error.js";

const BLOCKED =
  "this page may not store data: its site data is blocked, by the browser's settings, by a private window, or by the " +
  "sandbox of a frame";

/** Reasons by the name of the error. An error without a reason has only the browser's message. */
const REASONS = {
  SecurityError: BLOCKED,
  NotAllowedError: BLOCKED,
  QuotaExceededError: "there is no space left in this origin's storage",
  NotReadableError: "the browser cannot read it back from its disk",
  NotFoundError: "it was deleted while it was in use",
  NoModificationAllowedError: "another page or worker has the file open",
  InvalidStateError: "the browser has closed it",
  AbortError: "the browser has stopped it",
  UnknownError: "the browser's own storage fails: its disk may be full, or its profile damaged",
};

/** Chromium has no separate name for access that the user's settings forbid, nor had Firefox's private windows. */
function isBlocked({ name, message }, isOpening) {
  return (name === "UnknownError" && /denied|permission/i.test(message)) || (isOpening && name === "InvalidStateError");
}

/** The reason for an error of the browser, and its message. */
export function explained(error, isOpening = false) {
  const words = error?.message || error?.name || String(error);
  if (!(error instanceof Error || error instanceof DOMException)) return words;
  const reason = isBlocked(error, isOpening) ? BLOCKED : REASONS[error.name];
  return reason === undefined ? words : `${reason} (${words})`;
}

/** The error for a failed operation; `doing` says which. */
export function refusal(doing, error, { isOpening = false } = {}) {
  if (error instanceof LuatKVError) return error;
  return new LuatKVError("IO", `${doing}: ${explained(error, isOpening)}`, { cause: error });
}

export function unavailable(what, instead = "") {
  return invalid(`there is no ${what} here to keep a store in${instead}`);
}

export function busy(name) {
  const where = "here or in another tab or worker";
  const message = `the store ${JSON.stringify(name)} is already open, ${where}: close() it there, or set a longer wait`;
  return new LuatKVError("BUSY", message);
}

const overtakings = new WeakSet();

/** Whether an error is permanent: another tab or worker has opened the store. */
export const isOvertaken = (error) => overtakings.has(error);

/** The error for a store that another tab or worker has opened: its later writes cannot be persisted. */
export function overtaken(name) {
  const message =
    `the store ${JSON.stringify(name)} was opened by another tab or worker when the browser had closed it here: ` +
    "later writes here are not persisted";
  const error = new LuatKVError("BUSY", message);
  overtakings.add(error);
  return error;
}
