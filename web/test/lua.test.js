// The suites about Lua, in Node.

import { suite } from "./support.js";
import fileTests from "./suites/lua-files.js";
import stopTests from "./suites/lua-stop.js";
import luaTests from "./suites/lua.js";

suite(luaTests);
suite(fileTests);
suite(stopTests);
