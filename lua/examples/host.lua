--- A small host, in the place of Luat: it loads files of site/ as server-side files.
-- KV and json come from the module, by KV.install. The other names that the seed's examples use come from here.

local here = debug.getinfo(1, "S").source:match("^@(.*)host%.lua$")

-- In a checkout the module need not be installed: `make lua` has left it in target/.
local version = jit and "jit" or _VERSION:match("%d%.%d")
package.cpath = ("%s;%s../../target/lua/%s/?.so"):format(package.cpath, here, version)

local KV = require("luat_kv")

-- What server-side files see: Lua's own globals, and these.
local server = KV.install(setmetatable({}, { __index = _G }))

--- Runs a file of the site. Returns what it returned, and the table of its globals.
local function run(path)
  local globals = setmetatable({}, { __index = server })
  local chunk
  if setfenv then -- Lua 5.1 and LuaJIT
    chunk = setfenv(assert(loadfile(here .. "site/" .. path)), globals)
  else
    chunk = assert(loadfile(here .. "site/" .. path, "t", globals))
  end
  return chunk(), globals
end

local libraries = {}

--- The modules in src/lib first, then any other.
function server.require(name)
  local path = ("src/lib/%s.lua"):format(name)
  local file = io.open(here .. "site/" .. path)
  if not file then
    return require(name)
  end
  file:close()
  libraries[name] = libraries[name] or run(path)
  return libraries[name]
end

--- 128 bits that nobody can guess, as a session's id must be.
function server.generate_id()
  local file = assert(io.open("/dev/urandom", "rb"))
  local bytes = file:read(16)
  file:close()
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- Stands for something slow.
function server.fetch_posts_from_db()
  return {
    { slug = "hello", title = "Hello" },
    { slug = "again", title = "Hello again" },
  }
end

--- What a form action returns where it could not do its work.
function server.fail(status, data)
  return { status = status, data = data }
end

return {
  --- The names that server-side files see.
  server = server,

  --- A module of src/lib, as server-side files get it.
  require = server.require,

  --- The globals of a route's file: GET, load, actions …
  route = function(path)
    local _, globals = run("src/routes/" .. path)
    return globals
  end,
}
