// Measures the package beside lmdb-js and better-sqlite3: node bench.js FOLDER [--json]. bench/run calls it.
//
// Each store has the same 2 000 keys of 13 bytes, with values of 100 bytes, in a file. A round measures one operation
// with 250 of the keys on each of the stores, one after the other, so that all of them meet the same machine; the
// result is the median of the rounds. Values that are read are strings. A put is a transaction of its own, in the mode
// that does not wait for the disk, and always of another value, since SQLite does not write a row that stays as it is.
// lmdb-js keeps a snapshot for a turn of the event loop, so its reads in a loop do not look for writes of other
// processes; those of the others do.

import { join } from "node:path";
import Database from "better-sqlite3";
import { open } from "lmdb";
import { Store } from "luat-kv-native";

const folder = process.argv[2];
const KEYS = 2000;
// A round of puts contains checkpoints of each store, which wait for the disk.
const [ROUNDS, PART] = [31, 2000];
const keys = Array.from({ length: KEYS }, (_, index) => `key:${String(index).padStart(9, "0")}`);
const values = Array.from({ length: KEYS + 7 }, (_, index) => `${index} `.repeat(100).slice(0, 100));

function luatKv(store) {
  const kv = store.namespace("bench");
  return { get: (key) => kv.get(key), buffer: (key) => kv.get(key, "buffer"), put: (key, value) => kv.put(key, value) };
}

/** better-sqlite3 on a table, with a statement that reads a value and one that writes it. */
function sqlite(path, table, select, insert) {
  const db = new Database(path);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = NORMAL");
  db.exec(table);
  const [reading, writing] = [db.prepare(select).pluck(), db.prepare(insert)];
  return { get: (key) => reading.get(key), put: (key, value) => writing.run(key, value) };
}

/** The least table: no namespaces, versions, expiration or metadata. */
const plain = (path) =>
  sqlite(
    path,
    "CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    "SELECT value FROM kv WHERE key = ?",
    "INSERT OR REPLACE INTO kv VALUES (?, ?)",
  );

/** The table that this library has, without the versions. */
const same = (path) =>
  sqlite(
    path,
    `CREATE TABLE kv (namespace TEXT NOT NULL, key TEXT NOT NULL, expiration INTEGER, metadata TEXT, value TEXT,
     PRIMARY KEY (namespace, key))`,
    "SELECT value FROM kv WHERE namespace = 'bench' AND key = ?",
    `INSERT INTO kv (namespace, key, value) VALUES ('bench', ?, ?)
     ON CONFLICT DO UPDATE SET value = excluded.value, expiration = NULL, metadata = NULL`,
  );

function lmdb(path) {
  const db = open({ path, encoding: "string", noSync: true });
  return { get: (key) => db.get(key), put: (key, value) => db.putSync(key, value) };
}

const stores = {
  "luat-kv-native": luatKv(Store.open(join(folder, "luat-kv.db"))),
  "luat-kv-native, in memory": luatKv(Store.openMemory()),
  "better-sqlite3": plain(join(folder, "plain.db")),
  "better-sqlite3, our table": same(join(folder, "same.db")),
  "lmdb-js": lmdb(join(folder, "lmdb")),
};

let turn = 0;

/** Each operation for some keys. The number of values is not a multiple of that of keys, so that they change. */
const operations = {
  put: ({ put }, keys) => keys.forEach((key) => put(key, values[turn++ % values.length])),
  get: ({ get }, keys) => keys.forEach((key) => get(key).length === 100 || fail()),
  "get of a missing key": ({ get }, keys) => keys.forEach((key) => get(`${key}x`) ?? true),
  "get as a Buffer": ({ buffer }, keys) => keys.forEach((key) => buffer(key).length === 100 || fail()),
};

function fail() {
  throw new Error("a value of another length");
}

function microseconds(operation, store, round) {
  const first = (round * PART) % KEYS;
  const some = keys.slice(first, first + PART);
  const start = process.hrtime.bigint();
  operation(store, some);
  return Number(process.hrtime.bigint() - start) / 1000 / PART;
}

const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];

/** What the package is compared with, and the ratio that it must not exceed. */
const GOALS = {
  put: { "better-sqlite3": 1, "better-sqlite3, our table": 1 },
  get: { "lmdb-js": 1.2, "better-sqlite3": 0.6 },
};

/** The rounds' times of an operation, in microseconds, by the names of the stores. */
function timesOf(name, operation) {
  const measured = Object.entries(stores).filter(([, store]) => name !== "get as a Buffer" || store.buffer);
  const times = Object.fromEntries(measured.map(([store]) => [store, []]));
  const warming = (3 * KEYS) / PART;
  for (let round = 0; round < warming + ROUNDS; round++) {
    for (const [name, store] of measured) {
      const time = microseconds(operation, store, round);
      if (round >= warming) times[name].push(time);
    }
  }
  return times;
}

/** The results, as the lines of `--json`. */
function* results() {
  for (const [operation, run] of Object.entries(operations)) {
    const times = timesOf(operation, run);
    const [[subject, ours]] = Object.entries(times);
    const ratios = Object.entries(GOALS[operation] ?? {}).map(([peer, goal]) => {
      const ratio = median(ours.map((time, round) => time / times[peer][round]));
      return { host: "Node", operation, subject, peer, ratio, goal };
    });
    for (const [subject, of] of Object.entries(times)) {
      yield { host: "Node", operation, subject, microseconds: median(of) };
    }
    yield* ratios;
  }
}

function show({ operation, subject, microseconds, peer, ratio, goal }) {
  const start = `${operation.padEnd(22)} ${subject.padEnd(28)}`;
  if (peer === undefined) return `${start} ${microseconds.toFixed(2).padStart(8)} µs`;
  const missed = ratio > goal ? " MISSED" : "";
  return `${start} ${ratio.toFixed(2).padStart(8)} × ${peer}, goal ${goal}${missed}`;
}

const isJSON = process.argv.includes("--json");
if (!isJSON) console.log(`Node ${process.version}, medians of ${ROUNDS} rounds\n`);
for (const line of results()) console.log(isJSON ? JSON.stringify(line) : show(line));
