--- Instances of the C module (KV.new): each has handles of its own.

local lu = require("luaunit")
local support = require("support")
local fails = support.fails

local KV = require("luat_kv")

local Instances = {}

function Instances:test_a_method_takes_no_handle_of_another_instance()
  local one, other = KV.new(), KV.new()
  local own, foreign = one.open({ memory = true }), other.open({ memory = true })
  local kv, stranger = own:namespace("n"), foreign:namespace("n")
  for _ = 1, 2 do -- before and after their first calls
    for _, method in ipairs({ "get", "put", "has", "list", "count" }) do
      fails(function() kv[method](stranger, "key", "value") end, "bad argument #1", "luat_kv.namespace expected, got userdata")
    end
    fails(function() own.stats(foreign) end, "bad argument #1", "luat_kv.store expected, got userdata")
    fails(function() kv.get(own, "key") end, "bad argument #1", "luat_kv.namespace expected, got userdata")
    kv:put("key", "own")
    stranger:put("key", "foreign")
    lu.assertEquals({ kv:get("key"), stranger:get("key") }, { "own", "foreign" })
  end
end

return { TestInstances = Instances }
