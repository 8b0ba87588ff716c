--- KV.open: what it accepts, and what it refuses.
local lu = require("luaunit")
local KV = require("luat_kv")
local support = require("support")
local fails = support.fails

local Open = {}

local function refuses(options, ...)
  fails(function() KV.open(options) end, ...)
end

function Open:test_a_memory_store_is_new_each_time()
  local one, other = KV.open({ memory = true }), KV.open({ memory = true })
  one:namespace("n"):put("key", "value")
  lu.assertNil(other:namespace("n"):get("key"))
end

function Open:test_a_file_is_made_with_the_folders_to_it()
  local path = support.path("some/folders/my.db")
  local store = KV.open({ path = path })
  store:namespace("n"):put("key", "value")
  store:close()
  lu.assertTrue(support.exists(path))
end

function Open:test_two_stores_on_one_file_see_each_other()
  local path = support.path()
  local one, other = KV.open({ path = path }), KV.open({ path = path })
  one:namespace("n"):put("key", "value")
  lu.assertEquals(other:namespace("n"):get("key"), "value")
  other:namespace("n"):put("key", "new")
  lu.assertEquals(one:namespace("n"):get("key"), "new")
  one:close()
  other:namespace("n"):delete("key")
  lu.assertNil(other:namespace("n"):get("key"))
  other:close()
end

function Open:test_every_option_is_taken()
  for _, durability in ipairs({ "normal", "full" }) do
    for _, limits in ipairs({ "default", "cloudflare" }) do
      for _, options in ipairs({ { path = support.path() }, { memory = true } }) do
        options.durability, options.limits, options.busy_timeout, options.readonly = durability, limits, 0.5, false
        options.cache_size = 2 ^ 20
        local store = KV.open(options)
        store:namespace("n"):put("key", "value")
        lu.assertEquals(store:namespace("n"):get("key"), "value")
        store:close()
      end
    end
  end
end

function Open:test_a_busy_timeout_is_any_number_of_seconds_from_0()
  for _, seconds in ipairs({ 0, 0.001, 1, 2.5, 3600 }) do
    KV.open({ path = support.path(), busy_timeout = seconds }):close()
  end
end

function Open:test_values_are_read_from_a_cache_that_stats_describe_unless_its_size_is_0()
  for _, size in ipairs({ "default", 2 ^ 20, 0 }) do
    local store = KV.open({ path = support.path(), cache_size = size ~= "default" and size or nil })
    local kv = store:namespace("n")
    kv:put("key", "value")
    for _ = 1, 10 do lu.assertEquals(kv:get("key"), "value") end
    local cache = store:stats().cache
    if size == 0 then
      lu.assertEquals({ cache.hits, cache.misses, cache.size }, { 0, 0, 0 })
    else
      -- A key is added when it is read for the second time.
      lu.assertEquals({ cache.hits, cache.misses }, { 8, 2 })
      lu.assertTrue(cache.size > 0 and cache.size < 2 ^ 20, cache.size)
    end
    lu.assertIsNumber(cache.drops)
    kv:put("key", "new")
    lu.assertEquals(kv:get("key"), "new")
    store:close()
  end
  lu.assertEquals(KV.open({ memory = true, cache_size = 1e300 }):stats().cache, { hits = 0, misses = 0, drops = 0, size = 0 })
end

function Open:test_without_a_path_it_is_the_projects_store()
  for call, limits in pairs({
    ["KV.open()"] = "default", ["KV.open(nil)"] = "default", ["KV.open({})"] = "default", ["KV.open({ memory = false })"] = "default",
    ['KV.open({ limits = "cloudflare", busy_timeout = 1 })'] = "cloudflare",
  }) do
    local root = support.folder()
    support.write(root .. "/luat.toml", '[routing]\ndata_dir = "var"\n')
    support.run([[
      local store = ]] .. call .. [[
      store:namespace("n"):put("key", "value")
      assert(KV.namespace("n"):get("key") == "value")
      assert(tostring(store):find("var/kv.db", 1, true), tostring(store))
      assert(pcall(store.namespace, store, ".") == (... == "default"))
      store:close()
      assert(KV.namespace("n"):get("key") == "value")
    ]], { limits, dir = root })
    lu.assertTrue(support.exists(root .. "/var/kv.db"))
  end
end

function Open:test_a_path_a_url_and_memory_exclude_each_other()
  refuses({ path = support.path(), memory = true }, "path", "memory")
  refuses({ path = support.path(), url = "memory:" }, "path", "url")
  refuses({ url = "memory:", memory = true }, "url", "memory")
end

function Open:test_a_url_chooses_the_store()
  local folder = support.folder()
  local path = folder .. "/a b.db"
  for _, url in ipairs({ "file://" .. folder .. "/a%20b.db", "FILE:" .. folder .. "/a b.db", path }) do
    local store = KV.open({ url = url, durability = "full" })
    lu.assertStrContains(tostring(store), path)
    store:namespace("n"):incr("opened")
    store:close()
  end
  lu.assertEquals(KV.open({ path = path }):namespace("n"):get("opened"), "3")
  local one, other = KV.open({ url = "memory:", limits = "cloudflare" }), KV.open({ url = "memory:", memory = false })
  one:namespace("n"):put("key", "value")
  lu.assertNil(other:namespace("n"):get("key"))
  lu.assertStrContains(tostring(one), "memory")
  support.run([[KV.open({ url = "file:data/kv.db" }):namespace("n"):put("key", "value")]], { dir = folder })
  lu.assertTrue(support.exists(folder .. "/data/kv.db"))
end

function Open:test_a_url_that_no_store_takes_is_an_error()
  refuses({ url = "mysql://host/database" }, "luat_kv: INVALID: ", "mysql:", "postgresql:, postgres:, file: or memory:")
  refuses({ url = "file:kv.db?mode=ro" }, "INVALID", "no query")
  refuses({ url = "memory:x" }, "INVALID")
  refuses({ url = "" }, "INVALID", "empty")
  refuses({ url = "file:a\0b" }, "INVALID", "a NUL in it")
  refuses({ url = "memory:", readonly = true }, "INVALID")
  refuses({ url = "postgresql://u@localhost:1/d", durability = "full" }, "INVALID", "durability", "the server decides")
  refuses({ url = "postgresql://u@localhost:1/d", cache_size = 2 ^ 20 }, "INVALID", "cache_size is 1048576")
end

function Open:test_no_error_has_the_password_of_a_url()
  for _, url in ipairs({
    "postgresql://user:secret@localhost:1/d", "postgresql://user:secret@@localhost/d", "postgresql://user:sec/secret@h/d",
    "postgresql://localhost:1/d?password=secret&connect_timeout=1", "postgresql:user:secret@h", "mysql://user:secret@h/d",
    " postgresql://user:secret@h/d", "file://user:secret@h/d", "postgresql://user:secret\0@h/d",
  }) do
    for _, options in ipairs({ { url = url }, { url = url, durability = "full" } }) do
      local ok, why = pcall(KV.open, options)
      lu.assertFalse(ok, url)
      lu.assertNotStrContains(why, "secret")
    end
  end
end

function Open:test_a_url_does_not_become_the_name_of_a_file()
  local folder = support.folder()
  support.run([[
    for _, url in ipairs({ "postgresql://user:secret@host/database", "postgres:x", "memory:", "mysql://h/d" }) do
      local ok, why = pcall(KV.open, { path = url })
      assert(not ok and why:find("not a URL", 1, true) and not why:find("secret", 1, true), why)
      ok, why = pcall(KV.open, url)
      assert(not ok and why:find("table expected", 1, true) and not why:find("secret", 1, true), why)
    end
  ]], { dir = folder })
  lu.assertEquals(support.must("ls -A %s", folder), "")
end

function Open:test_it_needs_a_table()
  for _, wrong in pairs({ "kv.db", 1, true }) do
    refuses(wrong, "bad argument #1 to 'open'", "table expected, got " .. type(wrong))
  end
  refuses("kv.db", "did you mean { path = … }?")
  refuses("postgresql://user@host/database", "did you mean { url = … }?")
end

function Open:test_an_unknown_option_is_an_error_that_suggests_the_near_one()
  for unknown, near in pairs({
    memroy = "memory", Path = "path", limit = "limits", durabilty = "durability", busyTimeout = "busy_timeout", cacheSize = "cache_size",
    timeout = "busy_timeout", readOnly = "readonly", read_only = "readonly",
  }) do
    local options = { memory = true, [unknown] = "x" }
    refuses(options, "bad argument #1 to 'open'", ("unknown option '%s'"):format(unknown))
    if unknown ~= "timeout" then
      refuses(options, ("did you mean '%s'"):format(near))
    end
  end
  refuses({ memory = true, "x" }, "bad argument #1 to 'open'")
end

function Open:test_an_option_of_a_wrong_type_is_an_error_that_names_it()
  local right = { path = "string", url = "string", memory = "boolean", limits = "string", durability = "string",
    busy_timeout = "number", readonly = "boolean", cache_size = "number" }
  for option, expected in pairs(right) do
    for _, wrong in pairs({ "x", 1, true, {}, print }) do
      if type(wrong) ~= expected then
        local options = { memory = option ~= "path" and option ~= "url" or nil }
        options[option] = wrong
        refuses(options, "bad argument #1 to 'open'", option, ("%s expected, got %s"):format(expected, type(wrong)))
      end
    end
  end
end

function Open:test_an_option_of_an_unknown_value_is_an_error_that_names_it()
  refuses({ memory = true, limits = "aws" }, "limits", "aws")
  refuses({ memory = true, limits = "" }, "limits")
  refuses({ memory = true, durability = "most" }, "durability", "most")
  for _, bytes in ipairs({ -1, 0.5, 0 / 0, math.huge, -math.huge }) do
    refuses({ path = support.path(), cache_size = bytes }, "bad argument #1 to 'open'", "option 'cache_size': whole number of bytes from 0 up expected")
    refuses({ memory = true, cache_size = bytes }, "cache_size")
  end
  for _, bytes in ipairs({ 2 ^ 50, 2 ^ 63, 2 ^ 64, 1e300 }) do
    refuses({ path = support.path(), cache_size = bytes }, "INVALID", "cache_size is ", " bytes, more than the memory of this machine")
  end
  for _, seconds in ipairs({ -1, -0.001, 0 / 0, math.huge, 1e300 }) do
    refuses({ path = support.path(), busy_timeout = seconds }, "busy_timeout")
    refuses({ memory = true, busy_timeout = seconds }, "busy_timeout")
  end
end

function Open:test_the_path_of_sqlites_own_memory_is_refused_with_a_hint()
  refuses({ path = ":memory:" }, "memory = true")
  lu.assertFalse(support.exists(":memory:"))
end

function Open:test_an_empty_path_and_one_with_a_nul_are_errors()
  refuses({ path = "" }, "path")
  local path = support.path()
  refuses({ path = path .. "\0.txt" }, "path")
  lu.assertFalse(support.exists(path))
end

function Open:test_a_path_is_a_file_name_and_no_uri()
  local folder = support.folder()
  support.run([[KV.open({ path = "file:kv.db?mode=memory" }):namespace("n"):put("key", "value")]], { dir = folder })
  lu.assertTrue(support.exists(folder .. "/file:kv.db?mode=memory"))
end

return { TestOpen = Open }
