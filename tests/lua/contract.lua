--- The contract, stated once (one file for each section, in contract/) and run against every back end.
-- A section is a table of test methods. A test finds in self:
--   kv        an empty namespace of its own
--   store     the store it is in
--   open      opens another store of the same back end: self.open{ limits = "cloudflare" }
--   backends  the open functions of all back ends that this build has
--   server    true for a store on a server, which has narrower limits and is slower
local KV = require("luat_kv")
local support = require("support")

local backends = {
  Memory = function(options)
    options = options or {}
    options.memory = true
    return KV.open(options)
  end,
  SQLite = function(options)
    options = options or {}
    options.path = support.path()
    return KV.open(options)
  end,
}

-- With a server only that back end: the others have runs of their own.
local server = os.getenv("LUAT_KV_TEST_POSTGRES") ~= nil
if server then
  backends = {
    PostgreSQL = function(options)
      options = options or {}
      options.url = support.must("%s/tests/postgres/database", support.root)
      return KV.open(options)
    end,
  }
end

local sections = {
  Names = "names", Limits = "limits", Values = "values", JSON = "documents", Expiry = "expiry",
  Expired = "expired", Metadata = "metadata", List = "list", Options = "options", Errors = "errors",
  Bulk = "bulk", Atomic = "atomic", Counters = "counters", Ranges = "ranges", Transfer = "transfer",
  Housekeeping = "housekeeping", Presence = "presence", Watch = "watch",
}

-- A build for WebAssembly has the first of them only.
local _, why = pcall(KV.open, { path = "" })
if why:find("this build has no SQLite", 1, true) then
  backends.SQLite = nil
end

local opens, count = {}, 0
for _, open in pairs(backends) do
  opens[#opens + 1] = open
end

local function instance(section, open)
  local class = { open = open, backends = opens, server = server }

  for name, method in pairs(section) do
    class[name] = method
  end

  function class:setUp()
    count = count + 1
    if section.setUp then section.setUp(self) end
    self.store = self.store or open()
    self.kv = self.store:namespace("test " .. count)
  end

  function class:teardownClass()
    self.store:close()
    self.store = nil
  end

  return class
end

local classes = {}

for backend, open in pairs(backends) do
  for name, file in pairs(sections) do
    classes[("Test%s_%s"):format(backend, name)] = instance(require("contract." .. file), open)
  end
end

return classes
