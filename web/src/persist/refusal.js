// What the browser's storage refuses, as an error of ours: the reason first, in words that say what can be done about
// it, and then the browser's own.

import { LuatKVError, invalid } from "../error.js";

const BLOCKED =
  "this page may not store data: its site data is blocked, by the browser's settings, by a private window, or by the " +
  "sandbox of a frame";

/** By the names of the errors. What has no reason here is told in the browser's words alone. */
const REASONS = {
  SecurityError: BLOCKED,
  NotAllowedError: BLOCKED,
  QuotaExceededError: "there is no room left in this origin's storage",
  NotReadableError: "the browser cannot read it back from its disk",
  NotFoundError: "it was deleted while it was in use",
  NoModificationAllowedError: "another page or worker has the file open",
  InvalidStateError: "the browser has closed it",
  AbortError: "the browser has stopped it",
  UnknownError: "the browser's own storage fails: its disk may be full, or its profile damaged",
};

/** Chromium has no name of its own for what the user's settings forbid, and Firefox's private windows had none. */
function isBlocked({ name, message }, isOpening) {
  return (name === "UnknownError" && /denied|permission/i.test(message)) || (isOpening && name === "InvalidStateError");
}

/** The reason for an error of the browser's, and its own words. */
export function explained(error, isOpening = false) {
  const words = error?.message || error?.name || String(error);
  if (!(error instanceof Error || error instanceof DOMException)) return words;
  const reason = isBlocked(error, isOpening) ? BLOCKED : REASONS[error.name];
  return reason === undefined ? words : `${reason} (${words})`;
}

/** The error for what failed while something was done to a store. */
export function refusal(doing, error, { isOpening = false } = {}) {
  if (error instanceof LuatKVError) return error;
  return new LuatKVError("IO", `${doing}: ${explained(error, isOpening)}`, { cause: error });
}

export function unavailable(what, instead = "") {
  return invalid(`there is no ${what} here to keep a store in${instead}`);
}

export function busy(name) {
  const where = "here or in another tab or worker";
  const message = `the store ${JSON.stringify(name)} is open already, ${where}: close() it there, or let wait be longer`;
  return new LuatKVError("BUSY", message);
}

const overtakings = new WeakSet();

/** Whether an error is for good: another has the store's place. */
export const isOvertaken = (error) => overtakings.has(error);

/** For a store whose place another has: nothing of it can be kept any more. */
export function overtaken(name) {
  const message =
    `the store ${JSON.stringify(name)} was opened by another tab or worker when the browser had closed it here: ` +
    "what is written here is kept no longer";
  const error = new LuatKVError("BUSY", message);
  overtakings.add(error);
  return error;
}
