// Chromium, Firefox and WebKit, as Debian has them, behind one interface: what the package's pages must do in each of
// them is tested by it.

import { serve } from "./browser.js";
import * as chromium from "./browsers/chromium.js";
import * as firefox from "./browsers/firefox.js";
import * as webkit from "./browsers/webkit.js";

const KINDS = { chromium, firefox, webkit };

export const BROWSERS = Object.keys(KINDS);

/**
 * Starts a browser that forgets everything, and a server for it, whose arguments are those of serve(). Answers its
 * `version`, the server's `url`, close(), and open(path): a page there, which has
 *
 *   evaluate(run, argument)   what a function answers, or its promise, that is called in the page; all of it is JSON
 *   press(...keys)            on the keyboard: "a", "Tab", "Control+Enter"
 *   goto(url)                 another page in its place; the same address loads it anew
 *   messages()                what came to the console so far, uncaught errors included: "warn: no time left"
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
