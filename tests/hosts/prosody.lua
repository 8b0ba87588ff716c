-- The storage driver in Prosody's storage manager: what is particular to this driver, and what Prosody relies on.
--   lua5.4 tests/hosts/prosody.lua FOLDER-OF-THE-DRIVER/
package.loaded["net.server"] = require "net.server_select"
local st = require "util.stanza"

CFG_PLUGINDIR = "/usr/lib/prosody/modules/"
prosody = {
  core_post_stanza = function() end,
  events = require "util.events".new(),
  hosts = {},
  paths = { data = "." },
}
local config = require "core.configmanager"
config.set("*", "plugin_paths", { arg[1] })
require "util.pluginloader" -- reads CFG_PLUGINDIR
CFG_PLUGINDIR = arg[1] .. ";" .. CFG_PLUGINDIR
package.loaded["util.pluginloader"] = nil
local manager, hosts = require "core.storagemanager", require "core.hostmanager"
for _, host in ipairs({ "a.example", "b.example" }) do
  config.set(host, "storage", "luat_kv")
  assert(hosts.activate(host, {}))
  manager.initialize_host(host)
end

local function open(store, kind, host)
  return assert(manager.open(host or "a.example", store, kind))
end
local function equal(found, wanted)
  if found ~= wanted then
    error(("%s, not %s"):format(tostring(found), tostring(wanted)), 2)
  end
end
local function users_of(store)
  local users = {}
  for user in store:users() do
    users[#users + 1] = user
  end
  table.sort(users)
  return table.concat(users, " ")
end
local function stanza(text)
  return st.message({ to = "x@y.example", type = "chat" }, text)
end
-- The ids, or what `get` makes of each item.
local function found(archive, user, query, get)
  local list = {}
  for id, item, when, with in assert(archive:find(user, query)) do
    list[#list + 1] = get and get(item, when, with) or id
  end
  return table.concat(list, " ")
end

local tests = {}

function tests.data_comes_back_as_it_was()
  local store = open("roster")
  local roster = { [false] = { version = 3, pending = {} }, ["b@c"] = { groups = { ["Ä"] = true }, n = 1.5 }, [1] = -2, [2] = 2 ^ 53 | 0 }
  assert(store:set("juliet", roster))
  local back = assert(store:get("juliet"))
  equal(back[false].version, 3)
  equal(next(back[false].pending), nil)
  equal(back["b@c"].groups["Ä"], true)
  equal(back["b@c"].n, 1.5)
  equal(math.type(back[2]), "integer")
  equal(back[1], -2)
  store:set("juliet", nil)
  equal(store:get("juliet"), nil)
end

function tests.hosts_stores_and_kinds_are_apart()
  open("s"):set("u", { 1 })
  equal(open("s", nil, "b.example"):get("u"), nil)
  equal(open("t"):get("u"), nil)
  equal(found(open("s", "archive"), "u", {}), "")
end

function tests.the_host_has_data_too()
  local store = open("host-data")
  store:set(nil, { "host" })
  store:set("", { "nobody" })
  store:set("h", { "h" })
  equal(store:get(nil)[1], "host")
  equal(store:get("")[1], "nobody")
  equal(users_of(store), " h")
end

function tests.users_of_an_archive_are_told_once()
  local archive = open("users", "archive")
  for i = 1, 30 do
    archive:append(({ "al", "alice", "bob" })[i % 3 + 1], nil, stanza("x"), i, "w")
  end
  equal(users_of(archive), "al alice bob")
  equal(found(archive, "al", {}, function(_, when) return when end), "3 6 9 12 15 18 21 24 27 30")
end

function tests.an_archive_has_the_order_of_its_appends()
  local archive = open("order", "archive")
  for i = 1, 12 do
    equal(archive:append("u", "id" .. i, stanza("text " .. i), 100 - i, i % 2 == 0 and "even@x" or "odd@x"), "id" .. i)
  end
  equal(found(archive, "u", { after = "id3", before = "id7" }), "id4 id5 id6")
  equal(found(archive, "u", { before = "id4", reverse = true, limit = 2 }), "id3 id2")
  equal(found(archive, "u", { reverse = true, limit = 2, with = "odd@x" }), "id11 id9")
  equal(found(archive, "u", { start = 90, ["end"] = 92 }), "id8 id9 id10")
  equal(found(archive, "u", { ids = { "id5", "id2", "none", "id5" } }), "id2 id5")
  equal(found(archive, "u", { key = "id12" }, function(item) return item:get_child_text("body") end), "text 12")
  equal(select(2, archive:find("u", { with = "even@x", total = true, limit = 1 })), 6)
  equal(select(2, archive:find("u", { after = "none" })), "item-not-found")
  equal(select(2, archive:find("nobody", { total = true })), 0)
  archive:append("u", "id1", stanza("again"), 1, "odd@x") -- now the last one
  equal(found(archive, "u", { after = "id11" }), "id12 id1")
  equal(table.concat(archive:dates("u"), " "), "1970-01-01")
  equal(archive:summary("u").counts["odd@x"], 6)
  equal(archive:summary("u").body["odd@x"], "again")
end

function tests.what_all_conditions_match_is_deleted()
  local archive = open("delete", "archive")
  local function fill()
    assert(archive:delete("u"))
    for i = 1, 2500 do
      archive:append("u", "id" .. i, stanza("x"), i, i % 2 == 0 and "even@x" or "odd@x")
    end
  end
  fill()
  equal(archive:delete("u", { with = "even@x", ["end"] = 2400 }), 1200)
  equal(select(2, archive:find("u", { total = true })), 1300)
  equal(archive:delete("u", { truncate = 2 }), 1298)
  equal(found(archive, "u", {}), "id2499 id2500")
  equal(archive:delete("u", { truncate = 1, reverse = true }), 1)
  equal(found(archive, "u", {}), "id2499")
  equal(archive:delete("u", { truncate = 5 }), 0)
  equal(archive:delete("u", { key = "id2499" }), 1)
  equal(select(2, archive:get("u", "id2499")), "item-not-found")
end

function tests.only_what_is_between_two_ids_is_deleted()
  local archive = open("between", "archive")
  local function fill()
    archive:delete("u")
    for i = 1, 9 do
      archive:append("u", "id" .. i, stanza("x"), i, i % 2 == 0 and "even@x" or "odd@x")
    end
  end
  fill()
  equal(archive:delete("u", { after = "id3", before = "id7" }), 3)
  equal(found(archive, "u", {}), "id1 id2 id3 id7 id8 id9")
  equal(archive:delete("u", { before = "id3", with = "odd@x" }), 1)
  equal(found(archive, "u", {}), "id2 id3 id7 id8 id9")
  equal(archive:delete("u", { after = "id2", truncate = 2 }), 2)
  equal(found(archive, "u", {}), "id2 id8 id9")
  for _, query in ipairs({ { before = "none" }, { after = "none" }, { after = "none", reverse = true } }) do
    for _, method in ipairs({ "find", "delete" }) do
      local done, why = archive[method](archive, "u", query)
      equal(done, nil)
      equal(why, "item-not-found")
    end
  end
  fill()
  equal(found(archive, "u", { after = "id3", with = "odd@x" }), "id5 id7 id9")
  equal(found(archive, "u", { after = "id3", before = "id7", with = "even@x", reverse = true, limit = 1 }), "id6")
  equal(found(archive, "u", { before = "id3", with = "even@x", reverse = true }), "id2")
  equal(found(archive, "u", { after = "id7", before = "id3" }), "")
  equal(select(2, archive:find("u", { after = "id3", total = true })), 9)
  equal(found(archive, "u", { limit = 0 }), "")
end

function tests.who_has_no_data_is_no_user()
  local store, map, archive = open("empty"), open("empty", "map"), open("empty", "archive")
  store:set("u", {})
  store:set("false", false)
  map:set("key", "key", 1)
  map:set("key", "key", nil)
  equal(store:get("u"), nil)
  equal(users_of(store), "")
  archive:append("u", nil, stanza("x"), 1, "w")
  archive:append("u2", nil, stanza("x"), 1, "w")
  equal(archive:delete("u", { start = 0 }), 1)
  equal(users_of(archive), "u2")
end

function tests.an_item_may_have_no_partner()
  local archive = open("alone", "archive")
  local id = archive:append("u", nil, stanza("x"), 1)
  equal(select(3, archive:get("u", id)), "")
  equal(archive:summary("u").counts[""], 1)
end

function tests.a_user_can_be_purged()
  local store, archive = open("p"), open("p", "archive")
  for _, user in ipairs({ "u", "u2" }) do
    store:set(user, { 1 })
    archive:append(user, "id", stanza("x"), 1, "w")
  end
  assert(manager.purge("u", "a.example"))
  equal(store:get("u"), nil)
  equal(found(archive, "u", {}), "")
  equal(store:get("u2")[1], 1)
  equal(found(archive, "u2", {}), "id")
end

function tests.an_error_is_told_from_nothing()
  local store = open("broken")
  require "luat_kv".open({ path = "kv.db" }):namespace("keyval/a.example/broken"):put("u:u", "{")
  local data, why = store:get("u")
  equal(data, nil)
  equal(type(why), "string")
  data, why = store:set("u", { print })
  equal(data, nil)
  equal(type(why), "string")
  local archive = open("broken", "archive")
  equal(select(2, archive:append("u", nil, { 1 }, 1, "w")), "unsupported-datatype")
  archive:append("u", "id", stanza("x"), 1, "w")
  equal(select(2, archive:set("u", "id", { 1 })), "unsupported-datatype")
  data, why = manager.open("a.example", "pep_" .. ("n"):rep(5000), "archive")
  equal(data, nil)
  assert(why:find("the limit is 4096", 1, true), why)
end

local failed = 0
for name, test in pairs(tests) do
  local ok, why = xpcall(test, debug.traceback)
  print((ok and "ok - " or "not ok - ") .. name:gsub("_", " "))
  if not ok then
    failed = failed + 1
    print(why)
  end
end
os.exit(failed == 0 and next(tests) ~= nil)
