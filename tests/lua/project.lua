--- Where KV.namespace keeps its data: luat.toml, [routing] data_dir, .luat/data/kv.db.
local lu = require("luaunit")
local support = require("support")

local Project = {}

local put = 'KV.namespace("n"):put("key", "value") print(KV.namespace("n"):get("key"))'

--- Makes a folder with the files given by path, and returns its path.
local function folder(files)
  local root = support.folder()
  for path, text in pairs(files) do
    support.write(root .. "/" .. path, text)
  end
  return root
end

--- Asserts that a process in the working directory `dir` keeps its data in the file `expected`, and only there.
local function keeps_data_in(expected, dir, root)
  lu.assertEquals(support.run(put, { dir = dir }), "value")
  lu.assertEquals(support.must("find %s -name '*.db'", root), expected)
  lu.assertEquals(support.run('print(KV.namespace("n"):get("key"))', { dir = dir }), "value")
end

--- Asserts that KV.namespace fails in a process there, and that the message holds each of the texts.
local function fails_in(dir, ...)
  local output = support.run([[
    local ok, message = pcall(function() KV.namespace("n") end)
    assert(not ok and type(message) == "string" and message:find("^[^:]+:%d+: "), tostring(message))
    print(message)
  ]], { dir = dir })
  for _, text in ipairs({ ... }) do
    lu.assertStrContains(output, text)
  end
end

-- Wrong calls

function Project:test_a_wrong_name_makes_no_store()
  local root = support.folder()
  support.run([[
    assert(not pcall(KV.namespace, "") and not pcall(KV.namespace, "\255") and not pcall(KV.namespace, 5))
    local ok, why = pcall(function() KV:namespace("n") end)
    assert(not ok and why:find("here it is '.'", 1, true), why)
    ok, why = pcall(function() KV:open({ memory = true }) end)
    assert(not ok and why:find("here it is '.'", 1, true), why)
    ok, why = pcall(function() KV.open({ memory = true }):namespace("n").get("key") end)
    assert(not ok and why:find("a method is called with ':'", 1, true), why)
  ]], { dir = root })
  lu.assertEquals(support.must("ls -A %s", root), "")
end

-- Finding the project

function Project:test_without_a_luat_toml_it_is_in_the_working_directory()
  local root = support.folder()
  keeps_data_in(root .. "/.luat/data/kv.db", root, root)
end

function Project:test_the_folder_of_luat_toml_is_the_root()
  local root = folder({ ["luat.toml"] = "", ["src/routes/+page.lua"] = "" })
  keeps_data_in(root .. "/.luat/data/kv.db", root, root)
  keeps_data_in(root .. "/.luat/data/kv.db", root .. "/src/routes", root)
end

function Project:test_the_nearest_luat_toml_upwards_counts()
  local root = folder({
    ["luat.toml"] = "", ["app/luat.toml"] = "", ["app/src/lib/a.lua"] = "", ["app/lib/luat.toml"] = "",
  })
  keeps_data_in(root .. "/app/.luat/data/kv.db", root .. "/app/src/lib", root)
end

function Project:test_the_environment_may_name_the_store()
  local root = folder({ ["luat.toml"] = "" })
  local command = "cd %s && LUAT_KV_DB=%s " .. support.interpreter() .. " %s"
  lu.assertEquals(support.must(command, root, "here/own.db", support.script(put)), "value")
  lu.assertEquals(support.must("find %s -name '*.db'", root), root .. "/here/own.db")
  lu.assertEquals(support.must(command, root, "", support.script(put)), "value", "an empty one is none")
  lu.assertTrue(support.exists(root .. "/.luat/data/kv.db"))
end

function Project:test_the_environment_may_have_a_url()
  local root = folder({ ["luat.toml"] = "" })
  local command = "cd %s && LUAT_KV_DB=%s " .. support.interpreter() .. " %s"
  lu.assertEquals(support.must(command, root, "file:here/a%20b.db", support.script(put)), "value")
  lu.assertEquals(support.must("find %s -name '*.db'", root), root .. "/here/a b.db")
  lu.assertEquals(support.must(command, root, "memory:", support.script(put)), "value")
  for url, expected in pairs({ ["mysql://user:secret@h/d"] = "mysql:", ["postgresql://user:sec/secret@h"] = "%40" }) do
    local why = support.must(command, root, url, support.script([[
      local ok, why = pcall(KV.namespace, "n")
      assert(not ok)
      print(why)
    ]]))
    lu.assertStrContains(why, "INVALID: LUAT_KV_DB: ")
    lu.assertStrContains(why, expected)
    lu.assertNotStrContains(why, "secret")
  end
end

function Project:test_luat_toml_may_have_a_url()
  for url, path in pairs({ ["file:data/a%20b.db"] = "/data/a b.db", ["data/kv.db"] = "/data/kv.db" }) do
    local root = folder({
      ["luat.toml"] = ('[routing]\ndata_dir = "elsewhere"\n[kv]\nurl = "%s"\n'):format(url), ["src/lib/a.lua"] = "",
    })
    keeps_data_in(root .. path, root .. "/src/lib", root)
  end
  local root = folder({ ["luat.toml"] = 'kv.url = "memory:"' })
  lu.assertEquals(support.run(put, { dir = root }), "value")
  lu.assertEquals(support.must("ls -A %s", root), "luat.toml")
end

function Project:test_a_wrong_url_in_luat_toml_is_an_error_with_its_line()
  fails_in(folder({ ["luat.toml"] = "\n[kv]\nurl = 3\n" }), "INVALID", "luat.toml:3: ", "kv.url is not a string")
  fails_in(folder({ ["luat.toml"] = "kv = 'x'\n" }), "INVALID", "luat.toml:1: ", "kv is not a table")
  fails_in(folder({ ["luat.toml"] = "[kv]\nurl = 'redis://h'\n" }), "INVALID", "luat.toml:2: kv.url: ", "redis:")
end

function Project:test_what_everybody_may_write_is_not_trusted()
  local root = folder({ ["luat.toml"] = "", ["src/a.lua"] = "" })
  support.must("chmod 666 %s/luat.toml", root)
  fails_in(root .. "/src", "luat_kv: IO: everybody may write to " .. root .. "/luat.toml", "LUAT_KV_TRUSTED_PROJECT")
  lu.assertEquals(support.must("find %s -name '*.db'", root), "")
end

-- data_dir

function Project:test_data_dir_is_relative_to_the_root()
  local root = folder({ ["luat.toml"] = '[routing]\ndata_dir = "var/store"\n', ["src/a.lua"] = "" })
  keeps_data_in(root .. "/var/store/kv.db", root .. "/src", root)
end

function Project:test_data_dir_may_be_absolute()
  local elsewhere = support.path("data")
  local root = folder({ ["luat.toml"] = ('[routing]\ndata_dir = "%s"\n'):format(elsewhere) })
  keeps_data_in(elsewhere .. "/kv.db", root, elsewhere)
  lu.assertEquals(support.must("find %s -name '*.db'", root), "")
end

function Project:test_routing_without_data_dir_means_the_default()
  local root = folder({ ["luat.toml"] = "[routing]\nroutes_dir = 'src/routes'\n" })
  keeps_data_in(root .. "/.luat/data/kv.db", root, root)
end

function Project:test_other_tables_and_keys_are_none_of_ours()
  local root = folder({ ["luat.toml"] = [=[
    # a project of Luat
    title = "site"
    data_dir = "not this one"
    [project]
    name = "site"
    data_dir = 5
    [dev]
    port = 3000
    hosts = ["a", "b"]
    [routing]
    mode = "sveltekit"
    data_dir = "here"
    [[plugins]]
    data_dir = true
  ]=] })
  keeps_data_in(root .. "/here/kv.db", root, root)
end

-- Errors

function Project:test_a_malformed_luat_toml_is_an_error_with_file_and_line()
  local root = folder({ ["luat.toml"] = '[routing]\n# fine so far\ndata_dir = "open\n', ["src/a.lua"] = "" })
  fails_in(root .. "/src", root .. "/luat.toml", "3")
  lu.assertEquals(support.must("find %s -name '*.db'", root), "")
end

function Project:test_a_data_dir_of_a_wrong_type_is_an_error_with_file_and_line()
  for _, value in ipairs({ "5", "true", '["a"]', "{ a = 1 }", "1979-05-27" }) do
    local root = folder({ ["luat.toml"] = "[routing]\n\n\ndata_dir = " .. value .. "\n" })
    fails_in(root, root .. "/luat.toml", "4", "data_dir")
  end
end

function Project:test_a_luat_toml_that_is_no_text_is_an_error()
  local root = folder({ ["luat.toml"] = "[routing]\ndata_dir = '\255\254'\n" })
  fails_in(root, root .. "/luat.toml")
end

function Project:test_a_luat_toml_that_was_mended_is_read_again()
  local root = folder({ ["luat.toml"] = "[routing\n" })
  lu.assertEquals(support.run([[
    assert(not pcall(KV.namespace, "n"))
    local file = io.open("luat.toml", "w")
    file:write("[routing]\ndata_dir = 'mended'\n")
    file:close()
  ]] .. put, { dir = root }), "value")
  lu.assertTrue(support.exists(root .. "/mended/kv.db"))
end

function Project:test_a_data_dir_that_cannot_be_made_is_an_error()
  local root = folder({ ["luat.toml"] = "[routing]\ndata_dir = 'file/data'\n", file = "in the way" })
  fails_in(root, "luat_kv: IO: ", root .. "/file")
end

function Project:test_a_bad_name_is_an_error_here_as_well()
  local output = support.run([[
    print(pcall(function() KV.namespace("") end))
    print(pcall(function() KV.namespace(5) end))
    print(pcall(function() KV.namespace() end))
    print(pcall(function() KV.namespace("\255") end))
  ]])
  lu.assertStrMatches(output,
    "false\t[^\n]+:1: luat_kv: INVALID: [^\n]+\n" ..
    "false\t[^\n]+:2: bad argument #1 to 'namespace' %(string expected, got number%)\n" ..
    "false\t[^\n]+:3: bad argument #1 to 'namespace' %(string expected, got n[^\n]+\n" ..
    "false\t[^\n]+:4: luat_kv: INVALID: [^\n]+")
end

-- The store

function Project:test_all_namespaces_of_a_project_share_one_store()
  local root = support.folder()
  support.run([[
    KV.namespace("a"):put("key", "of a")
    KV.namespace("b"):put("key", "of b")
    collectgarbage()
    assert(KV.namespace("a"):get("key") == "of a")
    assert(KV.namespace("b"):get("key") == "of b")
    assert(KV.open({ path = ".luat/data/kv.db" }):namespace("a"):get("key") == "of a")
  ]], { dir = root })
end

return { TestProject = Project }
