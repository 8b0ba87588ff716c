// Two of keyv's tests read an entry within a second after it was stored, so on a busy machine they are tried again.
export default { test: { include: ["*-suite.test.js"], retry: 5, testTimeout: 60_000, hookTimeout: 60_000 } };
