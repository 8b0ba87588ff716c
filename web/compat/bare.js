// Removes features that some runtimes lack, to test the package without them.

const DISPENSABLE = [
  "crypto",
  "FinalizationRegistry",
  "WeakRef",
  "performance",
  "setImmediate",
  "MessageChannel",
  "BroadcastChannel",
  "structuredClone",
  "queueMicrotask",
  "AbortController",
  "navigator",
  "location",
  "document",
  "self",
];

/** Removes all of these features except the named ones. */
export function strip(...kept) {
  for (const name of DISPENSABLE) {
    if (kept.includes(name)) continue;
    delete globalThis[name];
    if (name in globalThis) Object.defineProperty(globalThis, name, { value: undefined });
  }
  for (const name of ["isWellFormed", "toWellFormed"]) delete String.prototype[name];
}
