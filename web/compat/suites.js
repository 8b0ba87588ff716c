// The suites that run in every runtime. (lua-stop.js takes half a minute; smoke.js has one of its tests.)

import argumentTests from "../test/suites/arguments.js";
import bulkTests from "../test/suites/bulk.js";
import cacheTests from "../test/suites/cache.js";
import limitTests from "../test/suites/limits.js";
import luaFileTests from "../test/suites/lua-files.js";
import luaWatchTests from "../test/suites/lua-watch.js";
import luaTests from "../test/suites/lua.js";
import namespaceTests from "../test/suites/namespace.js";
import watchTests from "../test/suites/watch.js";
import smokeTests from "./smoke.js";

export default [
  namespaceTests,
  argumentTests,
  bulkTests,
  cacheTests,
  limitTests,
  watchTests,
  luaTests,
  luaFileTests,
  luaWatchTests,
  smokeTests,
];
