---@meta luat_kv

--- A key-value store for Luat, with the API of Cloudflare Workers KV, kept in SQLite or in memory.
---
--- ```lua
--- local KV = require("luat_kv")
--- local kv = KV.namespace("blog")
--- kv:put("post:1", { title = "Hello" }, { metadata = { author = "alice" } })
--- print(kv:get("post:1", "json").title)
--- ```
---
--- Every error is raised, as a plain string with the caller's position:
---
--- * misuse: `bad argument #1 to 'get' (string expected, got nil)`
--- * a failed operation: `luat_kv: CODE: what happened`. The codes:
---   * `INVALID`: a name, value, option or cursor that cannot be; JSON that is none; a closed store
---   * `LIMIT`: too long, too many, too short a time; see `luat_kv.OpenOptions.limits`
---   * `BUSY`: another process wrote for longer than `busy_timeout`
---   * `READONLY`: a write to a store that is read-only
---   * `CORRUPT`: the file is no database, or a damaged one
---   * `IO`: the file system refused
---   * `NOMEM`, `PANIC`, `INTERNAL`: no memory; a fault in this library, which the process survives
---
--- After an error the data is as it was before the call, and the store can be used.
---@class luat_kv
local KV = {}

--- The module's name and version: `"luat_kv 0.1.0"`.
---@type string
KV._VERSION = "luat_kv 0.1.0"

--- `null` inside a JSON document. It is the light userdata NULL, so it equals `cjson.null`.
--- (A document that is only `null` is `nil`.)
---@type lightuserdata
KV.null = nil

--- The namespace `name` of the project's store. Namespaces never see each other's keys.
---
--- The project is the nearest folder, from the working directory upwards, that has a `luat.toml`, or else the working
--- directory. Its data lies in `kv.db` in `.luat/data`, or in the folder that `luat.toml` gives, relative to it:
---
--- ```toml
--- [routing]
--- data_dir = ".luat/data"
--- ```
---
--- Errors: `INVALID` where the name is empty or not UTF-8, or `luat.toml` is malformed (names file and line); `LIMIT`
--- where the name is longer than 4 KiB; `IO`, `CORRUPT`, `BUSY` of the file, which the first call opens.
---
--- ```lua
--- local sessions = KV.namespace("sessions")
--- ```
---@param name string
---@return luat_kv.Namespace
---@nodiscard
function KV.namespace(name) end

--- Opens a store of your own: a file, or memory that is gone with the store.
--- Missing folders are made (mode 0700), and so is the file (0600).
---
--- Errors: bad argument where neither or both of `path` and `memory` are given, and for unknown options; `IO`,
--- `CORRUPT`, `BUSY`, `READONLY` of the file.
---
--- ```lua
--- local store = KV.open({ path = "data/kv.db", durability = "full" })
--- local scratch = KV.open({ memory = true })
--- ```
---@param options luat_kv.OpenOptions
---@return luat_kv.Store
---@nodiscard
function KV.open(options) end

--- Marks a table as a JSON array, and returns it; without argument, a new one. Only an empty table needs it, since an
--- unmarked one is an object. (Arrays that were read from JSON are marked already.)
---
--- Errors: bad argument where the table has another metatable. Keys other than 1..n are an error when it is encoded.
---
--- ```lua
--- kv:put("post:1", { tags = KV.array() }) -- {"tags":[]}
--- ```
---@generic T: table
---@param list? T
---@return T
function KV.array(list) end

--- Puts `KV` and, where there is none, `json` into a table, and returns it. A host calls it for the environments of its
--- server-side files (`+page.server.lua`, `+server.lua`); loading the module sets no global.
---
--- ```lua
--- local env = KV.install(setmetatable({}, { __index = _G }))
--- ```
---@generic T: table
---@param env T
---@return T
function KV.install(env) end

--- JSON, as `put` and `get` write and read it.
---
--- | JSON | Lua |
--- | --- | --- |
--- | object | table with string keys |
--- | array | table 1..n; it stays an array when written again, an empty one too |
--- | `null` | `KV.null`; a document that is only `null` is `nil` |
--- | number | integer where Lua has them and the number fits, otherwise float; both come back exactly |
---@class luat_kv.json
KV.json = {}

--- The JSON text of a value, without spaces. `nil` is `null`.
---
--- Errors: `INVALID` for NaN and infinities, strings that are not UTF-8, functions, userdata and threads, more than 128
--- levels (so cycles, too), arrays with more holes than lua-cjson takes, two keys of one name (`t[1]` beside `t["1"]`);
--- `LIMIT` for text longer than 512 MiB.
---
--- ```lua
--- KV.json.encode({ title = "Hello", tags = { "a", "b" } })
--- ```
---@param value table|string|number|boolean|lightuserdata|nil
---@return string
---@nodiscard
function KV.json.encode(value) end

--- The value of a JSON text.
---
--- Errors: `INVALID`, with the place, where the text is not JSON or has more than 128 levels.
---
--- ```lua
--- KV.json.decode('{"a":[1,null]}').a[2] == KV.null
--- ```
---@param text string
---@return any
---@nodiscard
function KV.json.decode(text) end

--- A file or a memory with namespaces in it. It is collected when nothing uses it any more; namespaces keep it alive.
---@class luat_kv.Store
local Store = {}

--- A namespace of this store.
---
--- Errors: `INVALID` where the name is empty or not UTF-8, or the store is closed; `LIMIT` where the name is too long.
---@param name string
---@return luat_kv.Namespace
---@nodiscard
function Store:namespace(name) end

--- Removes expired entries, and returns how many. It is seldom needed: nobody sees an expired entry, and each write
--- removes a few.
---
--- Errors: `INVALID` where the store is closed, `READONLY`, `BUSY`, `IO`.
---
--- ```lua
--- store:sweep(1000) -- at most so many, so that other writers need not wait
--- ```
---@param max? integer all, if absent
---@return integer removed
function Store:sweep(max) end

--- Closes the store. A second call does nothing; any other use of the store or its namespaces is an `INVALID` error.
--- On Lua 5.4 and later a variable does it: `local store <close> = KV.open({ … })`.
function Store:close() end

--- Keys and their values. A key is UTF-8 text of 1 to 4096 bytes.
---@class luat_kv.Namespace
local Namespace = {}

--- The value of a key, or `nil` where there is none or it has expired.
---
--- `"text"`, the default, and `"arrayBuffer"` give the stored bytes; `"json"` gives the document they are.
---
--- Errors: bad argument for another type; `INVALID` where the key is empty or not UTF-8, or the value is not JSON (says
--- where), or the store is closed; `LIMIT` where the key is too long; `BUSY`, `IO`, `CORRUPT`.
---
--- ```lua
--- local name = kv:get("user:123")
--- local config = kv:get("config", "json") or {}
--- ```
---@param key string
---@param type? luat_kv.BytesType
---@return string? value
---@overload fun(self: luat_kv.Namespace, key: string, type: luat_kv.JsonType): any
---@nodiscard
function Namespace:get(key, type) end

--- The value of a key, as `get` gives it, with its metadata and expiration; `nil, nil` where there is none.
---
--- Errors: as `get`.
---
--- ```lua
--- local value, meta = kv:getWithMetadata("post:123")
--- if value then print(value, meta.expiration, meta.metadata) end
--- ```
---@param key string
---@param type? luat_kv.BytesType
---@return string? value
---@return luat_kv.Meta? meta
---@overload fun(self: luat_kv.Namespace, key: string, type: luat_kv.JsonType): any, luat_kv.Meta?
---@nodiscard
function Namespace:getWithMetadata(key, type) end

--- Stores a value, and replaces all that was there: value, expiration and metadata.
---
--- A string is stored byte for byte; a table, number or boolean as JSON, which `get(key, "json")` gives back.
---
--- Errors: bad argument for values of other types, and for unknown options; `INVALID` where the key is empty or not
--- UTF-8, the value or metadata has no JSON (see `KV.json.encode`), the expiration is not a whole number in the future,
--- or the store is closed; `LIMIT`; `READONLY`, `BUSY`, `IO`. Nothing is stored then.
---
--- ```lua
--- kv:put("user:123", "Alice")
--- kv:put("session:abc", { user = 123 }, { expirationTtl = 3600 })
--- kv:put("post:123", text, { metadata = { author = "alice", created = os.time() } })
--- ```
---@param key string
---@param value string|table|number|boolean
---@param options? luat_kv.PutOptions
function Namespace:put(key, value, options) end

--- Deletes a key. It is no error if there is none.
---
--- Errors: `INVALID` where the key is empty or not UTF-8, or the store is closed; `LIMIT`; `READONLY`, `BUSY`, `IO`.
---@param key string
function Namespace:delete(key) end

--- The live keys, in byte order, a page at a time.
---
--- Errors: bad argument for unknown options; `INVALID` for a malformed cursor, or where the store is closed; `LIMIT`
--- for a limit or prefix over the greatest; `BUSY`, `IO`, `CORRUPT`.
---
--- ```lua
--- local cursor
--- repeat
---   local page = kv:list({ prefix = "post:", cursor = cursor })
---   for _, key in ipairs(page.keys) do print(key.name) end
---   cursor = page.cursor
--- until page.list_complete
--- ```
---@param options? luat_kv.ListOptions
---@return luat_kv.Page
---@nodiscard
function Namespace:list(options) end

---@alias luat_kv.BytesType "text"|"arrayBuffer"|{ type?: "text"|"arrayBuffer" }
---@alias luat_kv.JsonType "json"|{ type: "json" }

--- What may be written or asked for. What is stored already stays as it is.
---
--- | | key, namespace, prefix | value | metadata as JSON | `expirationTtl` | page |
--- | --- | --- | --- | --- | --- | --- |
--- | `"default"` | 4 KiB | 512 MiB | 64 KiB | from 1 s | to 10,000 keys |
--- | `"cloudflare"` | 512 B, not `.` or `..` | 25 MiB | 1024 B | from 60 s, `expiration` too | to 1000 keys |
---@alias luat_kv.Limits
---| "default"
---| "cloudflare" # for an app that must later run on Cloudflare KV: what fails there fails here first

--- What outlives a power cut. The death of the process alone loses nothing that was acknowledged.
---@alias luat_kv.Durability
---| "normal" # all but the last moments
---| "full" # everything, at the cost of waiting for the disk with each write

--- Exactly one of `path` and `memory = true` is needed.
---@class luat_kv.OpenOptions
---@field path? string the file, relative to the working directory
---@field memory? boolean a store in memory
---@field limits? luat_kv.Limits what may be written (default: `"default"`)
---@field durability? luat_kv.Durability what outlives a power cut (default: `"normal"`)
---@field busy_timeout? number seconds that a call waits for other processes, from 0 on, fractions too (default: 5)
---@field readonly? boolean no data is written, and the file must be there; SQLite still makes its -wal and -shm beside it

---@class luat_kv.PutOptions
---@field expiration? integer Unix time in seconds, in the future, from which on the entry is gone
---@field expirationTtl? integer seconds from now until then, at least 1; it wins over `expiration`
---@field metadata? table|string|number|boolean any JSON value, of at most 64 KiB as JSON

---@class luat_kv.ListOptions
---@field prefix? string only keys that begin with it, literally
---@field limit? integer the most keys of a page, 1 to 10,000 (default: 1000)
---@field cursor? string `cursor` of the page before

--- What `getWithMetadata` tells about an entry. What was not set is absent.
---@class luat_kv.Meta
---@field expiration? integer Unix time in seconds
---@field metadata? table|string|number|boolean

---@class luat_kv.Page
---@field keys luat_kv.Key[]
---@field list_complete boolean true where no live key follows
---@field cursor? string where the next page begins; absent on a complete list

--- A key of a page. What was not set is absent.
---@class luat_kv.Key
---@field name string
---@field expiration? integer Unix time in seconds
---@field metadata? table|string|number|boolean

return KV
