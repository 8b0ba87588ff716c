// What not every runtime has: random numbers in Node 18, weak references in Workers whose compatibility date is before
// 2025-05-05, a clock or a channel in some. Whatever else the package uses, all of them have.

import { invalid } from "./error.js";

let crypto;

/**
 * To be called before a module is loaded, which asks for random numbers in the midst of its calls: here it is seen
 * whether there are any.
 */
export async function prepareRandom() {
  crypto ??= globalThis.crypto ?? (await nodeCrypto());
  if (typeof crypto?.getRandomValues !== "function") throw invalid("there is no crypto.getRandomValues() here");
  try {
    random(new BigInt64Array(1));
  } catch (error) {
    const message = "there are no random numbers here: a Worker opens its store in a handler, not in its global scope";
    throw invalid(`${message} (${error.message})`, { cause: error });
  }
}

/** Node 18 has it as a module only. Bundlers for browsers are not to look for this import. */
async function nodeCrypto() {
  if (globalThis.process?.versions?.node === undefined) return undefined;
  const name = "node:crypto";
  return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)).webcrypto;
}

/** Fills a view with random bytes, 65 536 at most. */
export const random = (view) => crypto.getRandomValues(view);

/** Milliseconds, for how long something takes. */
export const elapsed = () => (globalThis.performance ?? Date).now();

/** A FinalizationRegistry; where there is none, what is dropped without being closed is not freed. */
export function registry(free) {
  if (globalThis.FinalizationRegistry) return new FinalizationRegistry(free);
  return { register() {}, unregister() {} };
}

/** A WeakRef, or where there are none what keeps its target. */
export function weakly(target) {
  return globalThis.WeakRef ? new WeakRef(target) : { deref: () => target };
}

/**
 * Lets the page have its turn: resolves as a task of its own, after what has come in meanwhile. (A timer would do so
 * too, but browsers make one wait, for 4 ms, or for a second in a page that is not to be seen.)
 */
export function pause() {
  if (globalThis.setImmediate) return new Promise((resolve) => setImmediate(resolve));
  if (globalThis.MessageChannel) return throughChannel();
  return new Promise((resolve) => setTimeout(resolve, 0));
}

const waiting = [];
let channel = null;

function throughChannel() {
  if (channel === null) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => waiting.shift()();
  }
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}
