// Debian's Chromium, and a server on 127.0.0.1 that gives it this folder.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const root = fileURLToPath(new URL("..", import.meta.url));

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

/**
 * Serves a folder, and before it `files`: from a path to what is there, as a text. "/" is an empty page unless they
 * have another. `prelude` is a script to run in each page before its own. Answers the address, without a slash at its
 * end, and close().
 */
export async function serve(files = {}, folder = root, prelude = "") {
  const given = { "/": "<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title>test</title>", ...files };
  const withPrelude = (html) => `${html}`.replace(/<head>|<!doctype html>(?![^]*<head>)/i, `$&<script>${prelude}</script>`);
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://127.0.0.1").pathname);
    const type = TYPES[path === "/" ? ".html" : extname(path)] ?? "application/octet-stream";
    try {
      const content = given[path] ?? (await readFile(join(folder, normalize(path))));
      response.writeHead(200, { "content-type": type, "cache-control": "no-store" });
      response.end(type === TYPES[".html"] && prelude !== "" ? withPrelude(content) : content);
    } catch {
      response.writeHead(404, { "content-type": "text/html" }).end("<!doctype html><title>Not found</title>");
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

const OPTIONS = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  chromiumSandbox: false,
  args: [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
};

/** Starts a browser that forgets everything. */
export function launch() {
  return chromium.launch(OPTIONS);
}

/** Starts one whose storage is in a folder; it is a context, with newPage() and close(). */
export function launchIn(folder) {
  return chromium.launchPersistentContext(folder, OPTIONS);
}

/** Makes a folder for a test, which is removed after it. */
export async function temporaryFolder(t) {
  const folder = await mkdtemp(join(tmpdir(), "luat-kv-web-"));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Opens a page at an address, and collects what goes wrong in it in `page.errors`. */
export async function openPage(browser, url) {
  const page = await browser.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && page.errors.push(message.text()));
  await page.goto(url);
  return page;
}
