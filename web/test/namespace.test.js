import tests from "./suites/namespace.js";
import { suite } from "./support.js";

suite(tests);
