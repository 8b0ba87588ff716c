--- Handles: userdata, as those of the C module are, whose contents Lua code cannot reach.
--
-- What a handle holds stands in a table that knows it by the handle; its field `ptr` is an object of C's, or false once
-- that is freed. The handle's finalizer frees it, and no finalizer of cdata does: when a state closes these run first, and
-- finalizers of other userdata, which may still use the handle, would find what is gone. The contents must not lead to
-- the handle itself, or it would never be collected.
--
-- Who uses `ptr` has the handle in a variable until C has been called.
jit.off(true, true) -- see call.lua

local fail = require("luat_kv_ffi.fail")

local M = {}

--- Frees an object of C's when no call is under way any more.
local function bury(ptr, free)
  getmetatable(newproxy(true)).__gc = function()
    if fail.depth() == 0 then
      free(ptr)
    else
      bury(ptr, free)
    end
  end
end

--- Frees what some contents hold of C's: later, if `calls` others may be about to use it. Again is harmless.
function M.release(it, calls)
  local ptr = it.ptr
  if ptr then
    it.ptr = false
    if calls > 0 then
      bury(ptr, it.free)
    else
      it.free(ptr)
    end
  end
end

--- Takes an object of a store from the cell where C has put it. (Reading the cell allocates, and so may run a finalizer,
-- which may close the store.)
function M.hold(it, cell)
  it.ptr = cell[0]
  if not it.store.ptr then M.release(it, 0) end
end

--- A new kind of handle. Returns: a function that makes one for some contents, perhaps with other methods; a table from each handle to its contents; a
-- function that returns a method's contents, or fails; one that returns what C knows them by, or fails; the metatable.
function M.kind(name, methods, describe)
  local contents = setmetatable({}, { __mode = "k" })

  local function this(object)
    local it = contents[object]
    if not it then
      -- The common mistake is a full stop in place of the colon.
      fail.argument(1, ("%s expected, got %s; a method is called with ':'"):format(name, type(object)))
    end
    return it
  end

  local function ptr(object)
    return this(object).ptr or fail.closed()
  end

  --- The model of the handles with these methods, and its metatable.
  local function new_model(methods)
    local model = newproxy(true)
    local metatable = getmetatable(model)

    function metatable.__gc(object)
      local it = contents[object]
      if it then
        M.release(it, 0)
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
    return model, metatable
  end

  local usual, metatable = new_model(methods)
  local models = {}

  local function new(it, other_methods)
    local model = usual
    if other_methods then
      model = models[other_methods] or new_model(other_methods)
      models[other_methods] = model
    end
    local handle = newproxy(model)
    contents[handle] = it
    return handle
  end

  return new, contents, this, ptr, metatable
end

return M
