--- A small host that represents Luat: it loads files of site/ as server-side files. KV and json come from the module,
-- by KV.install. The other names that the examples use are defined here.

local here = debug.getinfo(1, "S").source:match("^@(.*)host%.lua$")

-- In a clone the module need not be installed: `make lua` builds it in target/.
local version = jit and "jit" or _VERSION:match("%d%.%d")
package.cpath = ("%s;%s../../target/lua/%s/?.so"):format(package.cpath, here, version)

local KV = require("luat_kv")

-- The globals of server-side files: Lua's own, and these.
local server = KV.install(setmetatable({}, { __index = _G }))

--- Runs a file of the site. Returns its result, and the table of its globals.
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

--- Loads modules in src/lib, or any other.
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

--- 128 bits that cannot be guessed, as required for the id of a session.
function server.generate_id()
  local file = assert(io.open("/dev/urandom", "rb"))
  local bytes = file:read(16)
  file:close()
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- Represents a slow operation.
function server.fetch_posts_from_db()
  return {
    { slug = "hello", title = "Hello" },
    { slug = "again", title = "Hello again" },
  }
end

--- The result of a form action that failed.
function server.fail(status, data)
  return { status = status, data = data }
end

return {
  --- The globals of server-side files.
  server = server,

  --- Loads a module of src/lib, as in server-side files.
  require = server.require,

  --- The globals of a route's file: GET, load, actions …
  route = function(path)
    local _, globals = run("src/routes/" .. path)
    return globals
  end,
}
