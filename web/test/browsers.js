// Debian's Chromium, Firefox and WebKit behind one interface, for tests that run in each of them.

import { serve } from "./browser.js";
import * as chromium from "./browsers/chromium.js";
import * as firefox from "./browsers/firefox.js";
import * as webkit from "./browsers/webkit.js";

const KINDS = { chromium, firefox, webkit };

export const BROWSERS = Object.keys(KINDS);

/**
 * Starts a browser with a temporary profile, and a server, whose arguments are those of serve(). Returns the browser's
 * `version`, the server's `url`, close(), and open(path), which opens a page with these methods:
 *
 *   evaluate(run, argument)   calls a function in the page, and returns its result, or that of its promise, as JSON
 *   press(...keys)            presses keys: "a", "Tab", "Control+Enter"
 *   goto(url)                 loads another page, or the same again
 *   messages()                the messages of the console, including uncaught errors: "warn: no time left"
 *   close()
 */
export async function start(name, files, folder) {
  const { prelude, start } = KINDS[name];
  const server = await serve(files, folder, prelude);
  const browser = await start().catch(async (error) => {
    await server.close();
    throw error;
  });
  return {
    version: browser.version,
    url: server.url,
    open: (path) => browser.open(server.url + path),
    close: async () => {
      await browser.close();
      await server.close();
    },
  };
}
