--- The functions of support.lua for files and waiting, in a page, which has no shell: on the file system in memory that
-- Lua has there (see web/test/contract.js). Its `io` and `os` cannot create folders, but can move one, and before the
-- tests begin some empty ones exist at /folders/1, /folders/2 and so on.

-- What the shell of SQLite makes of an empty file is told from an export by its first bytes.
local DATABASE = "SQLite format 3\0"

return function(M)
  local count, made = 0, 0

  --- The repository's root.
  M.root = ""

  function M.wait_until(time)
    while os.time() < time do end -- the page has its turn all the same
  end

  function M.exists(path)
    local file = io.open(path, "rb")
    return file ~= nil and file:close()
  end

  local function make(folder)
    if folder == "" or M.exists(folder) then
      return
    end
    make(folder:match("^(.*)/"))
    made = made + 1
    assert(os.rename("/folders/" .. made, folder), "the folders that lay ready are used up")
  end

  function M.path(name)
    count = count + 1
    return ("/tests/%d/%s"):format(count, name or "kv.db")
  end

  function M.folder()
    local folder = M.path("folder")
    make(folder)
    return folder
  end

  function M.write(path, text)
    make(path:match("^(.*)/"))
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return path
  end

  function M.sqlite(path)
    M.write(path, DATABASE .. ("\0"):rep(4096 - #DATABASE))
  end

  return M
end
