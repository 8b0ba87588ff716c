/**
 * The result of the bundler for an import of a `.wasm`: a WebAssembly.Module in a Worker, elsewhere usually a URL. It
 * is a value for the option `wasm`.
 */
declare const source: import("./index.js").WasmSource;
export default source;
