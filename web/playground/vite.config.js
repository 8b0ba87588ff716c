import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What the built page may do: run its own scripts and WebAssembly, and ask its own origin for more. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'unsafe-inline'", // CodeMirror makes its style sheet itself
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Only in the built page: Vite's own server puts scripts and styles into it. */
const policy = {
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" },
  ],
};

const host = "127.0.0.1";

export default defineConfig({
  root: at("."),
  base: "./", // it may lie in any folder
  resolve: { alias: { "luat-kv/lua": at("../src/with-lua.js"), "luat-kv": at("../src/index.js") } },
  plugins: [policy],
  server: { host, fs: { allow: [at("../..")] } },
  preview: { host },
  build: {
    outDir: at("../../target/playground/site"),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
