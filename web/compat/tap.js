// Runs suites in the form of test/suites, in any runtime, and prints TAP.

/** Returns the number of failed tests. */
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
