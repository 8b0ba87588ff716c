// Runs suites as those of test/suites, wherever this is, and prints TAP.

/** Answers how many tests failed. */
export async function runSuites(suites, api, print) {
  const tests = suites.flatMap((suite) => Object.entries(suite));
  print(`1..${tests.length}`);
  let failures = 0;
  for (const [index, [name, test]] of tests.entries()) {
    try {
      await test(api);
      print(`ok ${index + 1} - ${name}`);
    } catch (error) {
      failures++;
      print(`not ok ${index + 1} - ${name}`);
      print(String(error?.stack ?? error).replace(/^/gm, "# "));
    }
  }
  return failures;
}
