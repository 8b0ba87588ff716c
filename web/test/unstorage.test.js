// unstorage's driver for Workers KV accepts a namespace as its binding.

import test from "node:test";
import { createStorage } from "unstorage";
import cloudflareKVBinding from "unstorage/drivers/cloudflare-kv-binding";
import { equal, ok, open } from "./support.js";

test("unstorage's driver for a KV binding works on a namespace", async (t) => {
  for (const limits of ["default", "cloudflare"]) {
    const kv = await open(t, { limits });
    const storage = createStorage({ driver: cloudflareKVBinding({ binding: kv, base: "app" }) });
    await storage.setItem("object", { a: [1] });
    for (const ttl of [0, 5, 100, undefined]) await storage.setItem(`ttl:${ttl}`, "value", { ttl });
    equal([await storage.getItem("object"), await storage.getItem("ttl:5")], [{ a: [1] }, "value"]);
    const lifetimeOf = async (key) => (await kv.getWithMetadata(key)).expiration - Date.now() / 1000;
    ok((await lifetimeOf("app:ttl:5")) > 50 && (await lifetimeOf("app:ttl:100")) > 90);
    equal((await kv.getWithMetadata("app:ttl:0")).expiration, null);
    equal([await storage.hasItem("object"), await storage.hasItem("none")], [true, false]);
    equal((await storage.getKeys("ttl")).sort(), ["ttl:0", "ttl:100", "ttl:5", "ttl:undefined"]);
    await storage.removeItem("object");
    equal(await storage.getItem("object"), null);
    await storage.clear();
    equal(await kv.count(), 0);
  }
});
