--- The storage for lua-resty-session, as its documentation describes one, within nginx: tests/servers/nginx.py asks for each
-- of these tests. (No package of Debian has lua-resty-session itself.)

local storage_module = require("resty.session.luat_kv")

local NAME, TTL = "session", 60

local tests = {}

local function storage(options)
  options = options or {}
  options.path = options.path or "/var/lib/site/kv.db"
  return storage_module.new(options)
end

local function equal(actual, expected)
  if actual ~= expected then error(("expected %s, got %s"):format(tostring(expected), tostring(actual)), 2) end
end

local function keys(sessions)
  local names = {}
  for key in pairs(assert(sessions)) do names[#names + 1] = key end
  table.sort(names)
  return table.concat(names, " ")
end

local METADATA = { audiences = { "YQ", "Yg" }, subjects = { "alice", "bob" } }

function tests.stores_and_deletes()
  local s, now = storage({ namespace = "one" }), ngx.time()
  equal(s:get(NAME, "missing", now), nil)
  equal(s:set(NAME, "key", "value", TTL, now), true)
  equal(s:set(NAME, "key", "again", TTL, now), true)
  local value, problem = s:get(NAME, "key", now)
  equal(value, "again")
  equal(problem, nil)
  equal(s:get("other", "key", now), nil) -- another cookie
  equal(s:delete(NAME, "key", now), true)
  equal(s:get(NAME, "key", now), nil)
  equal(s:delete(NAME, "key", now), true)
end

function tests.prefix_and_suffix_are_part_of_the_keys()
  local now = ngx.time()
  local plain = storage({ namespace = "names" })
  for i, options in ipairs({ {}, { prefix = "p" }, { suffix = "s" }, { prefix = "p", suffix = "s" } }) do
    options.namespace = "names"
    equal(storage(options):set(NAME, "key", "value " .. i, TTL, now, nil, nil, METADATA), true)
  end
  equal(plain:get(NAME, "key", now), "value 1")
  local names = {}
  for name in require("luat_kv").open({ path = "/var/lib/site/kv.db" }):namespace("names"):each() do names[#names + 1] = name end
  equal(table.concat(names, " "), "p:session:YQ:alice p:session:YQ:alice:s p:session:Yg:bob p:session:Yg:bob:s p:session:key "
    .. "p:session:key:s session:YQ:alice session:YQ:alice:s session:Yg:bob session:Yg:bob:s session:key session:key:s")
end

function tests.a_session_ends_with_its_lifetime()
  local s, now = storage({ namespace = "lifetimes" }), ngx.time()
  assert(s:set(NAME, "short", "value", 1, now))
  assert(s:set(NAME, "broken", "value", 0.5, now)) -- a second at least
  ngx.sleep(2.1)
  equal(s:get(NAME, "short", ngx.time()), nil)
  equal(s:get(NAME, "broken", ngx.time()), nil)
end

function tests.a_renewed_session_lives_for_the_stale_time()
  local s, now = storage({ namespace = "stale" }), ngx.time()
  assert(s:set(NAME, "old", "value", TTL, now))
  assert(s:set(NAME, "brief", "value", 1, now))
  assert(s:set(NAME, "gone", "value", TTL, now))
  assert(s:set(NAME, "new", "value", TTL, now, "old", 1))
  assert(s:set(NAME, "newer", "value", TTL, now, "brief", 30)) -- does not live longer for it
  assert(s:set(NAME, "newest", "value", TTL, now, "gone", 0))
  assert(s:set(NAME, "first", "value", TTL, now, "missing", 10))
  equal(s:get(NAME, "gone", now), nil)
  equal(s:get(NAME, "missing", now), nil)
  ngx.sleep(2.1)
  equal(s:get(NAME, "old", ngx.time()), nil)
  equal(s:get(NAME, "brief", ngx.time()), nil)
  for _, key in ipairs({ "new", "newer", "newest", "first" }) do equal(s:get(NAME, key, ngx.time()), "value") end
end

function tests.metadata_lists_the_sessions_of_a_subject()
  local s, now = storage({ namespace = "metadata" }), ngx.time()
  equal(keys(s:read_metadata(NAME, "YQ", "alice", now)), "")
  assert(s:set(NAME, "one", "value", TTL, now, nil, nil, METADATA))
  assert(s:set(NAME, "short", "value", 1, now, nil, nil, METADATA))
  assert(s:set(NAME, "two", "value", TTL, now, nil, nil, METADATA))
  equal(keys(s:read_metadata(NAME, "YQ", "alice", now)), "one short two")
  equal(s:read_metadata(NAME, "Yg", "bob", now).one, now + TTL)
  equal(keys(s:read_metadata(NAME, "Yg", "alice", now)), "")
  equal(keys(s:read_metadata(NAME, "YQ", "alice", now + 1)), "one two")
  assert(s:set(NAME, "three", "value", TTL, now, "one", 1, METADATA)) -- renews "one"
  equal(keys(s:read_metadata(NAME, "YQ", "alice", now + 1)), "three two")
  for _, key in ipairs({ "two", "three", "missing" }) do equal(s:delete(NAME, key, now + 1, METADATA), true) end
  equal(keys(s:read_metadata(NAME, "YQ", "alice", now + 1)), "")
  equal(s:get(NAME, "two", now), nil)
end

function tests.an_audience_may_be_named_twice()
  local s, now = storage({ namespace = "twice" }), ngx.time()
  local twice = { audiences = { "YQ", "YQ" }, subjects = { "alice", "alice" } }
  assert(s:set(NAME, "one", "value", TTL, now, nil, nil, twice))
  assert(s:set(NAME, "two", "value", TTL, now, "one", 1, twice))
  equal(keys(s:read_metadata(NAME, "YQ", "alice", now)), "two")
  assert(s:delete(NAME, "two", now, twice))
  equal(keys(s:read_metadata(NAME, "YQ", "alice", now)), "")
end

function tests.an_error_is_nil_and_a_message()
  local now = ngx.time()
  for problem, options in pairs({
    ["unknown option 'pfad'"] = { pfad = "x" },
    ["luat_kv: IO: "] = { path = "/proc/none/kv.db" },
  }) do
    local result, message = storage(options):get(NAME, "key", now)
    equal(result, nil)
    assert(message:find(problem, 1, true), message)
  end
  local result, message = storage():set(NAME, "key", ("v"):rep(10), 1e12, now)
  equal(result, nil)
  assert(message:find("luat_kv: ", 1, true), message)
end

--- The storage that the page makes: its code hands it to the library, in whose place stands this.
local shared
package.loaded["resty.session"] = { init = function(configuration) shared = configuration.storage end }
require("resty_page")

local M = {}

--- Runs one test, or lists their names. "add" and "count" are for many requests at once, on the page's own configuration.
function M.run(name)
  if name == "names" then
    for each in pairs(tests) do ngx.say(each) end
  elseif name == "add" then
    local ok, problem = shared:set(NAME, ngx.var.request_id, "value", TTL, ngx.time(), nil, nil, METADATA)
    ngx.say(ok and "passed" or problem)
  elseif name == "count" then
    local count = 0
    for _ in pairs(shared:read_metadata(NAME, "YQ", "alice", ngx.time())) do count = count + 1 end
    ngx.say(count)
  else
    local passed, problem = pcall(tests[name])
    ngx.say(passed and "passed" or problem)
  end
end

return M
