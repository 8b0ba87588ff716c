--- Handles: userdata, as those of the C module are, whose contents Lua code cannot reach.
--
-- What a handle holds stands in a table that knows it by the handle; its field `ptr` is an object of C's, or false once
-- that is freed. The handle's finalizer frees it, and no finalizer of cdata does: when a state closes these run first, and
-- finalizers of other userdata, which may still use the handle, would find what is gone. The contents must not lead to
-- the handle itself, or it would never be collected.

local fail = require("luat_kv_ffi.fail")

local M = {}

--- Frees what some contents hold of C's. Again is harmless.
function M.release(it)
  local ptr = it.ptr
  if ptr then
    it.ptr = false
    it.free(ptr)
  end
end

--- Takes an object of a store from the cell where C has put it. (Reading the cell allocates, and so may run a finalizer,
-- which may close the store.)
function M.hold(it, cell)
  it.ptr = cell[0]
  if not it.store.ptr then M.release(it) end
end

--- A new kind of handle: a function that makes one for some contents, a table from each handle to its contents, and a
-- function that answers a method's contents, or fails.
function M.kind(name, methods, describe)
  local model = newproxy(true)
  local metatable = getmetatable(model)
  local contents = setmetatable({}, { __mode = "k" })

  local function this(object)
    local it = contents[object]
    if not it then
      -- The common mistake is a full stop in place of the colon.
      fail.argument(1, ("%s expected, got %s; a method is called with ':'"):format(name, type(object)))
    end
    return it
  end

  function metatable.__gc(object)
    local it = contents[object]
    if it then
      M.release(it)
      -- The handles that it kept can be collected as soon as it is.
      it.owner, it.namespace = nil, nil
    end
  end

  if describe then
    function metatable.__tostring(object)
      return ("%s (%s)"):format(name, describe(this(object)))
    end
  end
  metatable.__index = methods
  metatable.__name = name
  -- Lua code can neither read nor change it.
  metatable.__metatable = false
  fail.public(metatable)

  local function new(it)
    local handle = newproxy(model)
    contents[handle] = it
    return handle
  end

  return new, contents, this, metatable
end

return M
