--- Files are compatible in both directions: this library's for Luat's own statements, and Luat's for this library.
-- sqlite3's shell, in its own process, represents Luat.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local sqlite = support.sqlite

local schema = [[
  CREATE TABLE IF NOT EXISTS kv (
    namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER, PRIMARY KEY(namespace, key)
  );
  CREATE INDEX IF NOT EXISTS idx_kv_namespace_key ON kv(namespace, key);
]]

-- A file that Luat wrote -------------------------------------------------------------------------

local FromLuat = {}

--- A file as Luat leaves it, with rows of each kind.
local function luat_file()
  local path = support.path()
  support.must("mkdir -p %s", path:match("^(.*)/"))
  sqlite(path, "PRAGMA journal_mode = DELETE;" .. schema .. [[
    INSERT INTO kv VALUES ('blog', 'post:1', CAST('{"title":"Hello"}' AS BLOB), '{"author":"alice"}', NULL);
    INSERT INTO kv VALUES ('blog', 'post:2', '{"title":"as text"}', NULL, NULL);
    INSERT INTO kv VALUES ('blog', 'bytes', x'0001ff', 'true', 4102444800);
    INSERT INTO kv VALUES ('blog', 'old', x'00', NULL, 1000000000);
    INSERT INTO kv VALUES ('blog', 'empty', x'', NULL, NULL);
    INSERT INTO kv VALUES ('blog', 'é😀', 'ü', NULL, NULL);
    INSERT INTO kv VALUES ('sessions', 'post:1', 'another', '[1,2]', 4102444801);
  ]])
  return path
end

function FromLuat:test_it_opens_with_nothing_lost()
  local store = KV.open({ path = luat_file() })
  local kv = store:namespace("blog")
  local value, meta = kv:getWithMetadata("post:1", "json")
  lu.assertEquals(value, { title = "Hello" })
  lu.assertEquals(support.unversioned(meta), { metadata = { author = "alice" } })
  lu.assertEquals(kv:get("post:2"), '{"title":"as text"}')
  value, meta = kv:getWithMetadata("bytes")
  lu.assertEquals(value, "\0\1\255")
  lu.assertEquals(support.unversioned(meta), { metadata = true, expiration = 4102444800 })
  lu.assertEquals(kv:get("empty"), "")
  lu.assertEquals(kv:get("é😀"), "ü")
  value, meta = store:namespace("sessions"):getWithMetadata("post:1")
  lu.assertEquals(value, "another")
  lu.assertEquals(support.unversioned(meta), { metadata = { 1, 2 }, expiration = 4102444801 })
  store:close()
end

function FromLuat:test_what_has_expired_there_is_expired_here()
  local store = KV.open({ path = luat_file() })
  lu.assertNil(store:namespace("blog"):get("old"))
  local page = store:namespace("blog"):list()
  lu.assertEquals(support.unversioned(page), {
    keys = {
      { name = "bytes", metadata = true, expiration = 4102444800 },
      { name = "empty" },
      { name = "post:1", metadata = { author = "alice" } },
      { name = "post:2" },
      { name = "é😀" },
    },
    list_complete = true,
  })
  lu.assertEquals(store:sweep(), 1)
  store:close()
end

function FromLuat:test_it_can_be_written()
  local path = luat_file()
  local store = KV.open({ path = path })
  local kv = store:namespace("blog")
  kv:put("post:1", "new")
  kv:put("post:2", "newer", { metadata = "m" })
  kv:put("post:3", "newest")
  kv:delete("bytes")
  store:close()
  lu.assertEquals(sqlite(path, [[
    SELECT key, CAST(value AS TEXT), metadata FROM kv WHERE namespace = 'blog' AND key LIKE 'post:%' ORDER BY key;
    SELECT count(*) FROM kv WHERE key = 'bytes';
  ]]), 'post:1|new|\npost:2|newer|"m"\npost:3|newest|\n0')
end

function FromLuat:test_it_can_be_read_without_being_changed()
  local path = luat_file()
  local before = support.read(path)
  local store = KV.open({ path = path, readonly = true })
  lu.assertEquals(store:namespace("blog"):get("post:2"), '{"title":"as text"}')
  lu.assertEquals(#store:namespace("blog"):list().keys, 5)
  lu.assertNil(store:namespace("blog"):get("old"))
  store:close()
  lu.assertTrue(support.read(path) == before)
end

function FromLuat:test_an_empty_file_of_luat_opens()
  local path = support.path()
  support.must("mkdir -p %s", path:match("^(.*)/"))
  sqlite(path, schema)
  local store = KV.open({ path = path })
  store:namespace("n"):put("key", "value")
  lu.assertEquals(store:namespace("n"):get("key"), "value")
  store:close()
end

function FromLuat:test_luat_goes_on_with_it()
  local path = luat_file()
  KV.open({ path = path }):close()
  sqlite(path, schema .. "INSERT OR REPLACE INTO kv (namespace, key, value) VALUES ('blog', 'post:1', 'by Luat');")
  lu.assertEquals(KV.open({ path = path }):namespace("blog"):get("post:1"), "by Luat")
end

-- A file of ours ---------------------------------------------------------------------------------

local ForLuat = {}

function ForLuat:setUp()
  self.path = support.path()
  self.store = KV.open({ path = self.path })
  self.kv = self.store:namespace("n")
end

function ForLuat:tearDown()
  self.store:close()
end

function ForLuat:test_its_schema_is_taken_for_made()
  self.kv:put("key", "value")
  sqlite(self.path, schema)
  lu.assertEquals(self.kv:get("key"), "value")
  self.kv:put("key", "new")
  lu.assertEquals(self.kv:get("key"), "new")
end

function ForLuat:test_its_select_finds_our_rows()
  self.kv:put("key", "value", { metadata = { author = "alice" }, expiration = 4102444800 })
  self.kv:put("plain", "\0\255")
  local row = "SELECT hex(value), metadata, expiration FROM kv WHERE namespace = 'n' AND key = '%s'"
  lu.assertEquals(sqlite(self.path, row:format("key")), '76616C7565|{"author":"alice"}|4102444800')
  lu.assertEquals(sqlite(self.path, row:format("plain")), "00FF||")
end

function ForLuat:test_its_select_finds_the_types_it_wrote()
  self.kv:put("key", "value", { metadata = { author = "alice" }, expiration = 4102444800 })
  self.kv:put("empty", "")
  lu.assertEquals(sqlite(self.path, [[
    SELECT typeof(namespace), typeof(key), typeof(value), typeof(metadata), typeof(expiration) FROM kv ORDER BY key
  ]]), "text|text|blob|null|null\ntext|text|blob|text|integer")
end

function ForLuat:test_its_insert_is_seen()
  self.kv:put("key", "old", { metadata = "old", expirationTtl = 60 })
  sqlite(self.path, [[
    INSERT OR REPLACE INTO kv (namespace, key, value, metadata, expiration)
    VALUES ('n', 'key', CAST('new' AS BLOB), '{"by":"Luat"}', 4102444800), ('n', 'text', 'as text', NULL, NULL)
  ]])
  local value, meta = self.kv:getWithMetadata("key")
  lu.assertEquals(value, "new")
  lu.assertEquals(support.unversioned(meta), { metadata = { by = "Luat" }, expiration = 4102444800 })
  lu.assertEquals(self.kv:get("text"), "as text")
  lu.assertEquals(#self.kv:list().keys, 2)
end

function ForLuat:test_its_delete_is_seen()
  self.kv:put("key", "value")
  self.kv:put("other", "value")
  lu.assertEquals(self.kv:get("key"), "value")
  sqlite(self.path, "DELETE FROM kv WHERE namespace = 'n' AND key = 'key'")
  lu.assertNil(self.kv:get("key"))
  lu.assertEquals(support.unversioned(self.kv:list().keys), { { name = "other" } })
  sqlite(self.path, "DELETE FROM kv WHERE expiration IS NOT NULL AND expiration <= 4102444800")
  lu.assertEquals(self.kv:get("other"), "value")
end

function ForLuat:test_its_list_is_ours()
  for _, key in ipairs({ "b", "a", "a:2", "a:1", "é" }) do
    self.kv:put(key, "value")
  end
  lu.assertEquals(sqlite(self.path, [[
    SELECT key FROM kv WHERE namespace = 'n' AND key LIKE 'a:%' ORDER BY key LIMIT 10
  ]]), "a:1\na:2")
end

-- Metadata that another program wrote, and that is not JSON, must not take the value with it.
function ForLuat:test_a_row_with_broken_metadata_is_a_clear_error_and_no_more()
  sqlite(self.path, "INSERT INTO kv (namespace, key, value, metadata) VALUES ('n', 'broken', 'value', '{oops')")
  lu.assertEquals(self.kv:get("broken"), "value")
  support.fails(function() self.kv:getWithMetadata("broken") end, "luat_kv: ")
  self.kv:put("broken", "mended")
  lu.assertEquals(self.kv:getWithMetadata("broken"), "mended")
end

return { TestFromLuat = FromLuat, TestForLuat = ForLuat }
