// Errors of the browser's storage, and their messages, which say what can be done.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { launchIn, temporaryFolder } from "./browser.js";
import { pageOf, profile, reload, server, withoutLocks } from "./profile.js";
import { equal, ok } from "./support.js";

const BLOCKED =
  "this page may not store data: its site data is blocked, by the browser's settings, by a private window, or by the " +
  "sandbox of a frame";
const both = ["indexeddb", "opfs"];

/** The errors of opening and deleting a store. */
const tried = async (persist) => {
  const { Store } = await import("/src/index.js");
  const answers = [];
  for (const run of [() => Store.open({ persist }), () => Store.delete({ persist })]) {
    const error = await run().then(
      () => ({}),
      (error) => error,
    );
    answers.push([error.code, error.message, error.cause instanceof DOMException]);
  }
  return answers;
};

/** Each must be IO, begin with this text, and end with the browser's message. */
function areBlocked(answers) {
  for (const [index, [code, message, hasCause]] of answers.entries()) {
    equal([code, hasCause], ["IO", true]);
    const [, doing, words] = /^([\w ]+): (.*)$/.exec(message);
    ok(/^(opening|removing|locking) the store/.test(doing), doing);
    ok(words.startsWith(`${BLOCKED} (`) && words.endsWith(")"), `${index}: ${words}`);
    ok(words.length > BLOCKED.length + 10, words);
  }
}

test("site data that the user blocks is told as that", async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, "Default"));
  const settings = { profile: { default_content_setting_values: { cookies: 2 } } };
  await writeFile(join(folder, "Default", "Preferences"), JSON.stringify(settings));
  const context = await launchIn(folder);
  t.after(() => context.close());
  const page = await pageOf(context, "indexeddb");
  for (const persist of both) areBlocked(await page.evaluate(tried, persist));
  await withoutLocks(page);
  areBlocked(await page.evaluate(tried, "indexeddb"));
  equal(page.errors, []);
});

test("a frame's sandbox is told as that", async (t) => {
  const page = await profile(t, "indexeddb");
  // Without this, a frame with an opaque origin may not import anything.
  await page.context().route(`${server.url}/**`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), "access-control-allow-origin": "*" } });
  });
  for (const hasLocks of [true, false]) {
    if (!hasLocks) await withoutLocks(page);
    else await reload(page);
    await page.evaluate(
      () =>
        new Promise((resolve) => {
          const frame = document.createElement("iframe");
          frame.sandbox = "allow-scripts";
          frame.src = "/";
          frame.onload = resolve;
          document.body.append(frame);
        }),
    );
    const frame = page.frames()[1];
    for (const persist of hasLocks ? both : ["indexeddb"]) areBlocked(await frame.evaluate(tried, persist));
  }
});

test("opfs: a browser that cannot write to it is refused, with the way that it has", async (t) => {
  const page = await profile(t, "opfs");
  equal(
    await page.evaluate(async () => {
      delete FileSystemFileHandle.prototype.createWritable;
      return failing(open);
    }),
    'INVALID: persist: "opfs" cannot write in this browser, which has no createWritable() here: ' +
      'persist: "indexeddb" keeps one here',
  );
  await withoutLocks(page);
  equal(
    await page.evaluate(() => failing(open)),
    'INVALID: persist: "opfs" needs Web Locks, which this browser does not have: persist: "indexeddb" keeps one here',
  );
  equal(await page.evaluate(() => open({ persist: "indexeddb" }).then((kv) => kv.count())), 0);
});

test("opfs: a file that another has open is told as that, and written when it is free", async (t) => {
  const page = await profile(t, "opfs");
  await page.evaluate(() => open().then((kv) => kv.put("a", "1")));
  await page.evaluate(() => store.flush());
  // A worker can open a file exclusively.
  await page.evaluate(async () => {
    const code = `
      const root = await navigator.storage.getDirectory();
      const folder = await (await root.getDirectoryHandle("luat_kv")).getDirectoryHandle("luat_kv");
      const handle = await folder.getFileHandle("000000000002.log", { create: true });
      const access = await handle.createSyncAccessHandle();
      onmessage = () => (access.close(), postMessage("closed"));
      postMessage("open");
    `;
    globalThis.worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
    globalThis.heard = () => new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
    await heard();
    await kv.put("b", "1");
  });
  const answer = await page.evaluate(() => failing(() => store.flush()));
  ok(answer.startsWith("IO: writing the store: another page or worker has the file open ("), answer);
  await page.evaluate(() => {
    const closed = heard();
    worker.postMessage("close");
    return closed;
  });
  await page.evaluate(() => store.close());
  equal(await page.evaluate(() => open().then((kv) => kv.count())), 2);
});
