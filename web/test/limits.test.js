import tests from "./suites/limits.js";
import { suite } from "./support.js";

suite(tests);
