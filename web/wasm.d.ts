/**
 * What the bundler makes of an import of a `.wasm`: a WebAssembly.Module in a Worker, elsewhere mostly a URL. It is for the
 * option `wasm`.
 */
declare const source: import("./index.js").WasmSource;
export default source;
