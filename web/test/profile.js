// Pages with persisted stores. Each file that imports this has its own server and browser.

import { after, before } from "node:test";
import { launch, openPage, serve } from "./browser.js";
import { equal } from "./support.js";

export let server, browser;

before(async () => {
  server = await serve();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/**
 * A page of a new profile. It has `open(options)`, which opens a store of this kind, `kv`, a namespace of that store,
 * and `told`, the codes that onError got.
 */
export async function profile(t, persist) {
  const context = await browser.newContext();
  const page = await pageOf(context, persist);
  t.after(async () => {
    await context.close();
    equal(page.errors, [], "nothing was printed, and no promise was rejected that nobody waited for");
  });
  return page;
}

export async function pageOf(context, persist) {
  await context.addInitScript((persist) => {
    globalThis.told = [];
    globalThis.open = async (options) => {
      const { Store } = await import("/src/index.js");
      globalThis.store = await Store.open({ persist, onError: (error) => told.push(error.code), ...options });
      return (globalThis.kv = store.namespace("test"));
    };
    /** The code and the message of the error of opening. */
    globalThis.failing = async (run) => {
      try {
        await run();
        return "it did not fail";
      } catch (error) {
        return `${error.code ?? error.name}: ${error.message}`;
      }
    };
  }, persist);
  return openPage(context, `${server.url}/`);
}

export const reload = (page) => page.goto(`${server.url}/`);

/** The numbers and kinds of the segments in the place, in order. */
export const segments = {
  indexeddb: () =>
    new Promise((resolve, reject) => {
      const opening = indexedDB.open("luat_kv:luat_kv");
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        const reading = opening.result.transaction("segments").objectStore("segments").getAll();
        reading.onsuccess = () => {
          opening.result.close();
          resolve(reading.result.map(({ number, kind }) => `${number}.${kind}`));
        };
      };
    }),
  opfs: async () => {
    const folder = await (
      await (await navigator.storage.getDirectory()).getDirectoryHandle("luat_kv")
    ).getDirectoryHandle("luat_kv");
    const names = [];
    for await (const name of folder.keys()) names.push(name.replace(/^0+/, ""));
    return names.sort((a, b) => parseInt(a, 10) - parseInt(b, 10));
  },
};

/** Changes a segment, selected by its position: truncates it, flips a byte, or removes it. */
export const damage = {
  indexeddb: ([place, how]) =>
    new Promise((resolve) => {
      const opening = indexedDB.open("luat_kv:luat_kv");
      opening.onsuccess = () => {
        const transaction = opening.result.transaction("segments", "readwrite");
        const store = transaction.objectStore("segments");
        store.getAll().onsuccess = ({ target: { result } }) => {
          const segment = result.at(place);
          if (how === "flip") segment.bytes[segment.bytes.length >> 1] ^= 1;
          if (how === "flip end") segment.bytes[segment.bytes.length - 1] ^= 1;
          if (how === "cut") segment.bytes = segment.bytes.slice(0, -5);
          if (how === "remove") store.delete(segment.number);
          else store.put(segment);
        };
        transaction.oncomplete = () => resolve(opening.result.close());
      };
    }),
  opfs: async ([place, how]) => {
    const folder = await (
      await (await navigator.storage.getDirectory()).getDirectoryHandle("luat_kv")
    ).getDirectoryHandle("luat_kv");
    const names = [];
    for await (const name of folder.keys()) names.push(name);
    const name = names.sort().at(place);
    if (how === "remove") return folder.removeEntry(name);
    const handle = await folder.getFileHandle(name);
    let bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
    if (how === "flip") bytes[bytes.length >> 1] ^= 1;
    if (how === "flip end") bytes[bytes.length - 1] ^= 1;
    if (how === "cut") bytes = bytes.slice(0, -5);
    if (how === "empty") bytes = bytes.slice(0, 0);
    const stream = await handle.createWritable();
    await stream.write(bytes);
    await stream.close();
  },
};

/** Loads a page over plain http, from a host other than localhost. */
export async function plainHttp(page) {
  const plain = "http://plain.test";
  await page.context().route(`${plain}/**`, async (route) => {
    const url = route.request().url().replace(plain, server.url);
    await route.fulfill({ response: await route.fetch({ url }) });
  });
  await page.goto(`${plain}/`);
}

/** Removes Web Locks from all pages of a profile. */
export async function withoutLocks(page) {
  await page.context().addInitScript(() => Object.defineProperty(navigator, "locks", { value: undefined }));
  await reload(page);
}
