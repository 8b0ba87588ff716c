import tests from "./suites/bulk.js";
import { suite } from "./support.js";

suite(tests);
