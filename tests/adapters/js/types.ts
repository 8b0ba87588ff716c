// Compiled, not run: keyv's and unstorage's own types accept the adapters, and these refuse what is wrong.

import { Keyv } from "keyv";
import { Keyv as Keyv6 } from "keyv-6";
import { createStorage, type Driver } from "unstorage";
import { Store as WebStore } from "luat-kv";
import WebKeyv, { KeyvLuatKV as NamedWebKeyv } from "luat-kv/keyv";
import webDriver from "luat-kv/unstorage";
import { Store } from "luat-kv-native";
import NativeKeyv, { type KeyvLuatKVOptions } from "luat-kv-native/keyv";
import nativeDriver, { type LuatKVDriverOptions } from "luat-kv-native/unstorage";

const kv = Store.openMemory().namespace("n");
const webKV = (await WebStore.open()).namespace("n");

const options: KeyvLuatKVOptions = { store: { url: "kv.db", busyTimeout: 1 }, namespace: "n" };
new Keyv({ store: new NativeKeyv(kv), ttl: 1 });
new Keyv(new NativeKeyv(options));
new Keyv({ store: new WebKeyv(webKV) });
new Keyv(new NamedWebKeyv({ store: { persist: "indexeddb" } }));
new Keyv6({ store: new NativeKeyv({ namespace: kv }) });
new Keyv6(new WebKeyv());

const driverOptions: LuatKVDriverOptions = { store: "kv.db", namespace: "n", base: "b", ttl: 1 };
const driver: Driver = nativeDriver(driverOptions);
createStorage({ driver });
createStorage({ driver: nativeDriver(kv) });
createStorage({ driver: webDriver({ namespace: webKV }) }).mount("b", webDriver({ store: { maxMemory: 1 } }));

// @ts-expect-error
new NativeKeyv({ path: "kv.db" });
// @ts-expect-error
new WebKeyv({ store: "kv.db" });
// @ts-expect-error
nativeDriver({ ttl: "1" });
// @ts-expect-error
webDriver({ store: { url: "kv.db" } });
