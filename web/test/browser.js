// Debian's Chromium, and a server for a folder on 127.0.0.1.

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
 * Serves a folder and `files`, an object from paths to texts, which takes precedence. "/" is an empty page by default.
 * `prelude` is a script that runs first in each page. Returns the address, without a slash at its end, and close().
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

/** Starts a browser with a temporary profile. */
export function launch() {
  return chromium.launch(OPTIONS);
}

/** Starts a browser whose storage is in a folder. Returns a context, with newPage() and close(). */
export function launchIn(folder) {
  return chromium.launchPersistentContext(folder, OPTIONS);
}

/** Creates a folder for a test, which is removed after the test. */
export async function temporaryFolder(t) {
  const folder = await mkdtemp(join(tmpdir(), "luat-kv-web-"));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Opens a page at an address, and collects its errors in `page.errors`. */
export async function openPage(browser, url) {
  const page = await browser.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && page.errors.push(message.text()));
  await page.goto(url);
  return page;
}
