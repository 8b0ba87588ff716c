--- Handles: userdata like those of the C module, whose contents Lua code cannot reach.
--
-- The contents of a handle are in a table that is found by the handle. Their field `ptr` is a C object, or false once
-- that is freed. The handle's finalizer frees it. A finalizer of cdata would not do: when a state closes, those run
-- first, and finalizers of other userdata, which may still use the handle, would find a freed object. The contents must
-- not refer to the handle itself, or it would never be collected.
--
-- Code that uses `ptr` keeps the handle in a variable until C has been called.
jit.off(true, true) -- see call.lua

local fail = require("luat_kv_ffi.fail")

local M = {}

--- Frees a C object when no call is in progress.
local function bury(ptr, free)
  getmetatable(newproxy(true)).__gc = function()
    if fail.depth() == 0 then
      free(ptr)
    else
      bury(ptr, free)
    end
  end
end

--- Frees the C object of some contents: later, if `calls` others may be about to use it. A second call does nothing.
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

--- Takes an object of a store from the cell where C has stored it. (Reading the cell allocates, and so may run a
-- finalizer, which may close the store.)
function M.hold(it, cell)
  it.ptr = cell[0]
  if not it.store.ptr then M.release(it, 0) end
end

--- Creates a kind of handle. Returns a function that creates a handle for some contents, perhaps with other methods; a
-- table from each handle to its contents; a function that returns a method's contents, or fails; one that returns the C
-- object, or fails; and the metatable.
function M.kind(name, methods, describe)
  local contents = setmetatable({}, { __mode = "k" })

  local function this(object)
    local it = contents[object]
    if not it then
      -- A common mistake is a full stop instead of the colon.
      fail.argument(1, ("%s expected, got %s; a method is called with ':'"):format(name, type(object)))
    end
    return it
  end

  local function ptr(object)
    return this(object).ptr or fail.closed()
  end

  --- The template of handles with these methods, and its metatable.
  local function new_model(methods)
    local model = newproxy(true)
    local metatable = getmetatable(model)

    function metatable.__gc(object)
      local it = contents[object]
      if it then
        M.release(it, 0)
        -- From now on, the handles that it references can be collected.
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
