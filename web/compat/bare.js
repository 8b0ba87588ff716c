// Takes away what not every runtime has, to see that the package does without.

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

/** All of them but those that are named. */
export function strip(...kept) {
  for (const name of DISPENSABLE) {
    if (kept.includes(name)) continue;
    delete globalThis[name];
    if (name in globalThis) Object.defineProperty(globalThis, name, { value: undefined });
  }
  for (const name of ["isWellFormed", "toWellFormed"]) delete String.prototype[name];
}
