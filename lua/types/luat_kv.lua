---@meta luat_kv

--- A key-value store with the API of Cloudflare Workers KV, in a SQLite file, on a PostgreSQL server, or in memory.
---
--- ```lua
--- local KV = require("luat_kv")
--- local kv = KV.namespace("blog")
--- kv:put("post:1", { title = "Hello" }, { metadata = { author = "alice" } })
--- print(kv:get("post:1", "json").title)
--- ```
---
--- Every error is raised as a plain string with the caller's position:
---
--- * misuse: `bad argument #1 to 'get' (string expected, got nil)`
--- * a failed operation: `luat_kv: CODE: what happened`. The codes:
---   * `INVALID`: an invalid name, value, option or cursor; text that is not JSON; a closed store
---   * `LIMIT`: too long, too many, too short a time; see `luat_kv.OpenOptions.limits`
---   * `BUSY`: another process wrote for longer than `busy_timeout`
---   * `READONLY`: a write to a store that is read-only
---   * `CORRUPT`: the file is not a database, or is damaged
---   * `IO`: the file system refused
---   * `NOMEM`, `PANIC`, `INTERNAL`: no memory; a bug in this library, which the process survives
---
--- After an error the data is as before the call, and the store can still be used.
---@class luat_kv
local KV = {}

--- The module's name and version: `"luat_kv 0.1.0"`.
---@type string
KV._VERSION = "luat_kv 0.1.0"

--- `null` inside a JSON document, and in a table of many values. It is the light userdata NULL, so it equals
--- `cjson.null` and `ngx.null`; `KV.new` can set another. (A single value that is only `null` is `nil`.)
---@type any
KV.null = nil

--- The namespace `name` of the project's store. Namespaces have separate keys.
---
--- The store is the one whose URL or path the environment variable `LUAT_KV_DB` contains (see `KV.open`). If that is not
--- set, or empty, the project is the nearest folder, from the working directory upwards, that has a `luat.toml`, or else
--- the working directory. Its store is the one that `luat.toml` names, or else `kv.db` in `.luat/data`, or in the folder
--- that `luat.toml` names. Paths are relative to the project:
---
--- ```toml
--- [kv]
--- url = "postgresql://app@db/site"
---
--- [routing]
--- data_dir = ".luat/data"
--- ```
---
--- Errors: `INVALID` if the name is empty or not UTF-8, or `luat.toml` is malformed (names file and line); `LIMIT` if
--- the name is longer than 4 KiB; `IO`, `CORRUPT`, `BUSY` of the file, which the first call opens.
---
--- ```lua
--- local sessions = KV.namespace("sessions")
--- ```
---@param name string
---@return luat_kv.Namespace
---@nodiscard
function KV.namespace(name) end

--- Opens a store: by a URL, in a file, in memory, or, without any of these, the project's store (`KV.namespace`). Missing
--- folders are created (mode 0700), and so is the file (0600). Open a store once and keep it: the first open of a file
--- takes about half a millisecond, and the store has some descriptors until it is closed or collected.
---
--- The scheme of the URL chooses the store: `postgresql:` or `postgres:` a PostgreSQL database, `file:` a file (`%20` is a
--- space), `memory:` a new store in memory. A text without a scheme is a path; any other scheme is an error. With
--- PostgreSQL, `durability = "full"` and `cache_size` are errors, since the server decides about these. No message has the
--- password of a URL.
---
--- Errors: bad argument if more than one of `url`, `path` and `memory` is given, and for unknown options; `INVALID` for a
--- malformed URL; `IO`, `CORRUPT`, `BUSY`, `READONLY` of the file or the server. After an `IO` of the file the collector
--- closes unreferenced stores, and the open is tried once more.
---
--- ```lua
--- local store = KV.open({ path = "data/kv.db", durability = "full" })
--- local shared = KV.open({ url = "postgresql://app@db1,db2/site?target_session_attrs=read-write" })
--- local scratch = KV.open({ memory = true })
--- ```
---@param options? luat_kv.OpenOptions
---@return luat_kv.Store
---@nodiscard
function KV.open(options) end

--- Marks a table as a JSON array, and returns it; without an argument, returns a new one. Only an empty table needs the
--- mark, since it would be an object otherwise. (Arrays that were read from JSON are already marked.)
---
--- The mark is a metatable, for which `getmetatable` returns `"luat_kv.array"`. It can be neither changed nor replaced.
---
--- Errors: bad argument if the table has another metatable. Keys other than 1..n are an error when it is encoded.
---
--- ```lua
--- kv:put("post:1", { tags = KV.array() }) -- {"tags":[]}
--- ```
---@generic T: table
---@param list? T
---@return T
function KV.array(list) end

--- Puts a separate `KV` (see `KV.new`) and, if there is none, its `json` into a table, and returns the table. A host
--- calls it for the environments of its server-side files (`+page.server.lua`, `+server.lua`). Loading the module sets
--- no globals. If a script changes its `KV` or `json`, no other script is affected.
---
--- Errors: bad argument if `env` is not a table, and for unknown options.
---
--- ```lua
--- local env = KV.install(setmetatable({}, { __index = _G }))
--- local untrusted = KV.install({}, { open = false })
--- ```
---@generic T: table
---@param env T
---@param options? luat_kv.ModuleOptions
---@return T
function KV.install(env, options) end

--- Returns another instance of the module with its own settings, which also apply to everything that it opens. Settings
--- that are not given are those of this instance. Its handles and tables have their own metatables.
---
--- Errors: bad argument for unknown options.
---
--- ```lua
--- local KV = require("luat_kv").new({ null = vim.NIL })
--- KV.json.decode("[null]")[1] == vim.NIL
--- ```
---@param options? luat_kv.ModuleOptions
---@return luat_kv
---@nodiscard
function KV.new(options) end

--- Calls `fn`, and again as long as it raises `BUSY`, and returns its results. Between two calls it waits by
--- `options.sleep`, the host's own, for a millisecond first and then twice as long each time, up to 0.1 seconds. So a
--- server with an event loop opens its store with a short `busy_timeout`, and serves other requests while it waits for
--- another process. `fn` should make one call, or commit one batch: these are done as a whole or not at all.
---
--- Errors: those of `fn`; `BUSY` when the waits add up to `options.timeout`; bad argument for wrong or unknown options.
---
--- ```lua
--- local hits = KV.retry(function() return kv:incr("hits") end, { sleep = ngx.sleep })
--- ```
---@generic T
---@param fn fun(): T...
---@param options luat_kv.RetryOptions
---@return T...
function KV.retry(fn, options) end

--- JSON, as `put` writes it and `get` reads it.
---
--- | JSON | Lua |
--- | --- | --- |
--- | object | table with string keys |
--- | array | table 1..n; it stays an array when written again, an empty one too |
--- | `null` | `KV.null`; a document that is only `null` is `nil`, or in a table of many values `KV.null` |
--- | number | integer where Lua has them and the number fits, otherwise float; both come back exactly |
---@class luat_kv.json
KV.json = {}

--- The JSON text of a value, without spaces. `nil` is `null`. A table is read by its own fields, except for one with
--- `__pairs`, or with `__len` and only the keys of an array, which is read through these.
---
--- Errors: `INVALID` for NaN and infinities, strings that are not UTF-8, functions, userdata and threads, more than 128
--- levels (so also for cycles), arrays with more holes than lua-cjson accepts, two keys with one name (`t[1]` beside
--- `t["1"]`), empty tables with data behind `__index`, unusable metamethods (`__pairs` that returns no function);
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
--- Errors: `INVALID`, with the position, if the text is not JSON or has more than 128 levels.
---
--- ```lua
--- KV.json.decode('{"a":[1,null]}').a[2] == KV.null
--- ```
---@param text string
---@return any
---@nodiscard
function KV.json.decode(text) end

--- A file, a PostgreSQL database, or memory, that contains namespaces. It is collected when it is no longer referenced;
--- namespaces keep it alive.
---@class luat_kv.Store
local Store = {}

--- A namespace of this store.
---
--- Errors: `INVALID` if the name is empty or not UTF-8, or the store is closed; `LIMIT` if the name is too long.
---@param name string
---@return luat_kv.Namespace
---@nodiscard
function Store:namespace(name) end

--- Removes expired entries, and returns how many. It is seldom needed: results never contain expired entries, and each
--- write removes a few.
---
--- Errors: `INVALID` if the store is closed, `READONLY`, `BUSY`, `IO`.
---
--- ```lua
--- store:sweep(1000) -- at most so many, so that other writers need not wait
--- ```
---@param max? integer all, if absent
---@return integer removed
function Store:sweep(max) end

--- A new batch of changes, whose steps need a namespace first: see `luat_kv.Batch`.
---
--- ```lua
--- store:atomic():namespace("stock"):incr("apples", -1):namespace("orders"):put(id, order):commit()
--- ```
---@return luat_kv.Batch
---@nodiscard
function Store:atomic() end

--- The names of the namespaces that have keys, in byte order.
---
--- Errors: `INVALID` if the store is closed, `BUSY`, `IO`, `CORRUPT`.
---@return string[]
---@nodiscard
function Store:namespaces() end

--- What the store contains. Counts every row.
---
--- Errors: as `namespaces`.
---
--- ```lua
--- for name, keys in pairs(store:stats().namespaces) do print(name, keys.live, keys.expired) end
--- ```
---@return luat_kv.Stats
---@nodiscard
function Store:stats() end

--- Rewrites the file without the space that deleted entries have left. Meanwhile writers wait, and it takes at most as
--- much disk space as the used part of the file, twice. Does nothing in memory, and on a PostgreSQL server.
---
--- Errors: `INVALID` if the store is closed, `READONLY`, `BUSY`, `IO`.
function Store:compact() end

--- Moves the log (`kv.db-wal`) into the file, and returns whether all of it was moved: a reader of an older state holds
--- back the rest. SQLite also does this by itself from time to time. Does nothing in memory, and on a PostgreSQL server.
---
--- Errors: as `compact`.
---@return boolean complete
function Store:checkpoint() end

--- Copies the whole store, as of one moment, into a new file, while others go on writing. The copy gets its name when
--- it is complete and checked.
---
--- Errors: `CORRUPT` if the store is damaged; `IO`, also if there is a file of that name; `INVALID` for a store in
--- memory, one on a PostgreSQL server (use `pg_dump`), or a closed one; `BUSY`.
---
--- ```lua
--- store:backup(os.date("backups/kv-%Y-%m-%d.db"))
--- ```
---@param path string
function Store:backup(path) end

--- Closes the store. A second call does nothing; any other use of the store or its namespaces is an `INVALID` error.
--- On Lua 5.4 and later a variable does it: `local store <close> = KV.open({ … })`.
function Store:close() end

--- Keys and their values. A key is UTF-8 text of 1 to 4096 bytes.
---@class luat_kv.Namespace
local Namespace = {}

--- The value of a key, or `nil` if it is missing or has expired.
---
--- `"text"`, the default, and `"arrayBuffer"` return the stored bytes; `"json"` returns the document in them.
---
--- An array of keys, 1 to 10,000 of them (Cloudflare's limits: 100), returns a table from each existing key to its
--- value, all as of one moment. There a document that is only `null` is `KV.null`; a single one is `nil`.
---
--- Errors: bad argument for another type; `INVALID` if the key is empty or not UTF-8, or the value is not JSON (says
--- where), or the store is closed; `LIMIT` if the key is too long, or there are too many; `BUSY`, `IO`, `CORRUPT`.
---
--- ```lua
--- local name = kv:get("user:123")
--- local config = kv:get("config", "json") or {}
--- local users = kv:get({ "user:1", "user:2" }, "json")
--- print(users["user:1"].name)
--- ```
---@param key string
---@param type? luat_kv.BytesType
---@return string? value
---@overload fun(self: luat_kv.Namespace, key: string, type: luat_kv.JsonType): any
---@overload fun(self: luat_kv.Namespace, keys: string[], type?: luat_kv.BytesType): table<string, string>
---@overload fun(self: luat_kv.Namespace, keys: string[], type: luat_kv.JsonType): table<string, any>
---@nodiscard
function Namespace:get(key, type) end

--- The value of a key, as `get` returns it, with its metadata, expiration and version; `nil, nil` if it is missing. An
--- array of keys returns a table from each existing key to a table of all these.
---
--- Errors: as `get`.
---
--- ```lua
--- local value, meta = kv:getWithMetadata("post:123")
--- if value then print(value, meta.expiration, meta.metadata, meta.version) end
--- ```
---@param key string
---@param type? luat_kv.BytesType
---@return string? value
---@return luat_kv.Meta? meta
---@overload fun(self: luat_kv.Namespace, key: string, type: luat_kv.JsonType): any, luat_kv.Meta?
---@overload fun(self: luat_kv.Namespace, keys: string[], type?: luat_kv.BytesType|luat_kv.JsonType): table<string, luat_kv.Found>
---@nodiscard
function Namespace:getWithMetadata(key, type) end

--- Whether a key is there, without reading its value.
---
--- Errors: as `get`.
---@param key string
---@return boolean found
---@nodiscard
function Namespace:has(key) end

--- Stores a value, and replaces everything that the key held: value, expiration and metadata.
---
--- A string is stored byte for byte; a table, number or boolean as JSON, which `get(key, "json")` returns. Returns the
--- version of what it stored, for `check` of a batch.
---
--- Errors: bad argument for values of other types, and for unknown options; `INVALID` if the key is empty or not UTF-8,
--- the value or metadata cannot be JSON (see `KV.json.encode`), the expiration is not an integer in the future, or the
--- store is closed; `LIMIT`; `READONLY`, `BUSY`, `IO`. Nothing is stored then.
---
--- ```lua
--- kv:put("user:123", "Alice")
--- kv:put("session:abc", { user = 123 }, { expirationTtl = 3600 })
--- kv:put("post:123", text, { metadata = { author = "alice", created = os.time() } })
--- ```
---@param key string
---@param value string|table|number|boolean
---@param options? luat_kv.PutOptions
---@return string version
function Namespace:put(key, value, options) end

--- Stores a value if the key is missing. Returns whether it did, and then the version. With an `expirationTtl` it is a
--- lock that is freed if its holder dies.
---
--- Errors: as `put`.
---
--- ```lua
--- if kv:add("lock:report", me, { expirationTtl = 60 }) then make_report() end
--- ```
---@param key string
---@param value string|table|number|boolean
---@param options? luat_kv.PutOptions
---@return boolean added
---@return string? version
function Namespace:add(key, value, options) end

--- Gives a key another expiration, and returns whether it was there. Value and metadata stay; the version changes, as
--- with every write. Without options the key no longer expires.
---
--- Errors: bad argument for options without `expiration` and `expirationTtl`, or with others; `INVALID`, `LIMIT`,
--- `READONLY`, `BUSY`, `IO` as `put`.
---
--- ```lua
--- kv:touch("session:abc", { expirationTtl = 3600 }) -- a sliding session
--- ```
---@param key string
---@param options? luat_kv.TouchOptions
---@return boolean touched
function Namespace:touch(key, options) end

--- Adds to the integer that a key holds as text, and returns the sum; a missing key starts at `initial`. The change is
--- atomic. An existing key keeps its expiration and metadata.
---
--- Numbers have 64 bits. (Up to Lua 5.2, and in LuaJIT, a sum beyond 2^53 is returned as the nearest float; the stored
--- value is exact.)
---
--- Errors: bad argument for numbers that are not integers; `INVALID` if the value is not a 64-bit integer, or the sum
--- would overflow one; otherwise as `put`.
---
--- ```lua
--- if kv:incr("hits:" .. address, 1, { expirationTtl = 60 }) > 100 then return fail(429) end
--- ```
---@param key string
---@param by? integer the number that is added (default: 1)
---@param options? luat_kv.IncrOptions
---@return integer sum
function Namespace:incr(key, by, options) end

--- Deletes a key, and returns whether it existed. A missing key is not an error.
---
--- Errors: `INVALID` if the key is empty or not UTF-8, or the store is closed; `LIMIT`; `READONLY`, `BUSY`, `IO`.
---@param key string
---@return boolean deleted
function Namespace:delete(key) end

--- Deletes a key, and returns the results of `getWithMetadata` for it: nil, nil if it is missing. If several
--- processes take the same key, one of them gets it. After an error the key is still there.
---
--- Errors: as `getWithMetadata` of one key, and as `delete`.
---
--- ```lua
--- local token = kv:take("login:" .. code, "json") -- good for one login
--- ```
---@param key string
---@param type? luat_kv.BytesType
---@return string? value
---@return luat_kv.Meta? meta
---@overload fun(self: luat_kv.Namespace, key: string, type: luat_kv.JsonType): any, luat_kv.Meta?
function Namespace:take(key, type) end

--- A new batch of changes that starts in this namespace: see `luat_kv.Batch`.
---
--- ```lua
--- local stock, meta = kv:getWithMetadata("apples", "json")
--- local done = kv:atomic():check("apples", meta and meta.version):put("apples", (stock or 10) - 1):commit()
--- ```
---@return luat_kv.Batch
---@nodiscard
function Namespace:atomic() end

--- The live keys, in byte order or in reverse, one page at a time.
---
--- Errors: bad argument for unknown options; `INVALID` for a cursor that is malformed or comes from a list with another
--- prefix or direction, or if the store is closed; `LIMIT` for a limit or prefix that is too large; `BUSY`, `IO`,
--- `CORRUPT`.
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

--- Iterates over all live keys, for a generic `for`. Pages are read when the loop reaches them, and freed when it ends
--- (in Lua 5.4 at once, also by a `break`). The first page has 16 keys and each further one twice as many, up to 1000.
--- If a key is put or deleted on a page that was not yet read, the loop sees its later state.
---
--- Errors: as `list`.
---
--- ```lua
--- for name, key in kv:each({ prefix = "post:", values = "json" }) do print(name, key.value.title) end
--- ```
---@param options? luat_kv.RangeOptions
---@return fun(): string, luat_kv.Key
---@nodiscard
function Namespace:each(options) end

--- The number of live keys.
---
--- Errors: bad argument for unknown options; `INVALID`, `LIMIT`, `BUSY`, `IO`, `CORRUPT`.
---@param options? { prefix?: string }
---@return integer
---@nodiscard
function Namespace:count(options) end

--- Deletes all keys that begin with a prefix, and returns how many. It works in small steps, between which others can
--- write: an error half-way leaves the rest of the keys.
---
--- Errors: bad argument for an empty prefix (it may be an unset variable); `INVALID`, `LIMIT`, `READONLY`, `BUSY`,
--- `IO`.
---
--- ```lua
--- kv:deletePrefix("session:")
--- ```
---@param prefix string
---@return integer deleted
function Namespace:deletePrefix(prefix) end

--- Deletes all keys of the namespace, as `deletePrefix` does, and returns how many.
---@return integer deleted
function Namespace:clear() end

--- Writes all live entries, as of one moment, to a file, and returns how many. The file at a path is replaced when the
--- new one is complete; `"-"` is an ordinary name. A file that is open in Lua is written from its current position.
---
--- Each entry is an object `{ "key", "value", "expiration"?, "metadata"?, "base64"? }`, in an array as in Wrangler's
--- bulk files, or as JSON Lines. Values that are not UTF-8 are written as base64.
---
--- Errors: `IO`; `INVALID` for the store's own file, or if the store is closed; `BUSY`, `CORRUPT`.
---
--- ```lua
--- kv:export("posts.json")
--- kv:export(io.stdout, { format = "jsonl" })
--- ```
---@param file string|file*
---@param options? luat_kv.ExportOptions
---@return integer count
function Namespace:export(file, options) end

--- Stores the entries of an export, or of a bulk file of Wrangler's, in one transaction, in either format. Returns how
--- many were stored, and how many were skipped: those that have expired and, without `replace`, those whose keys exist.
--- With `replace`, an expired entry removes its key. Unknown fields are ignored. Others can write
--- while it reads (except in memory), and wait while it stores what it has read.
---
--- Errors: `INVALID`, with the line, if an entry is malformed; `LIMIT`, `IO`, `READONLY`, `BUSY`. Then nothing of the
--- file is stored.
---
--- ```lua
--- local stored, skipped = kv:import("posts.json")
--- ```
---@param file string|file*
---@param options? luat_kv.ImportOptions
---@return integer stored
---@return integer skipped
function Namespace:import(file, options) end

--- Begins to watch keys: `next` of the watch, or a loop over it, returns what changes from now on, whoever changes it, in
--- this process or another one. What the keys hold now is no change, unless `existing` is set: then the first answer is
--- every live key as a put. A program that keeps a copy of the keys sets it. With a list of its own it could miss the
--- removal of a key that was put just before the list and removed just after.
---
--- A watch compares all its keys whenever the store has changed, which takes about a millisecond for 1000 keys, and
--- remembers the name of each. A prefix that many more keys begin with is better divided.
---
--- Errors: bad argument for unknown options; `INVALID` for keys and a prefix at once, a token of another namespace or store
--- in memory, or if the store is closed; `LIMIT` for more than 1000 keys, or one that is too long; `BUSY`, `IO`, `CORRUPT`.
---
--- ```lua
--- for change in kv:watch({ prefix = "session:", timeout = 5 }) do
---   print(change.type, change.name) -- ends when nothing has changed for five seconds
--- end
---
--- local watch = kv:watch({ keys = { "config" }, existing = true, values = true, type = "json" })
--- for _, change in ipairs(watch:next(0) or {}) do apply(change.value) end -- does not wait
--- ```
---@param options? luat_kv.WatchOptions
---@return luat_kv.Watch
---@nodiscard
function Namespace:watch(options) end

--- What has changed since the last call. `kv:watch` returns it as what a generic `for` takes: the loop gets one change at
--- a time. In Lua 5.4 and later, a loop over `kv:watch()` closes its watch when it ends, also by a `break`. A loop over a
--- variable that has a watch leaves it open: what the loop has not reached, `next` or another loop returns.
---
--- It reports the latest state of each key that has changed, in byte order of the keys, and the changes of one batch
--- together. A key that changes several times between two calls is reported once. An expiry is reported with the next
--- write to the store, by whomever, or by `sweep`. After an error, no change is lost: the call can be repeated.
---
--- A watch keeps its store open. In the child of a fork it is of no use; the child opens its own.
---@class luat_kv.Watch
---@operator call: luat_kv.Change?
local Watch = {}

--- The changes since the last call. Waits until there is one, but not longer than so many seconds: 0 does not wait, and
--- without an argument it waits for ever. `nil` when the time is over. With values, it returns only some of the changes,
--- and the next call the others, if the values amount to more than 16 MiB.
---
--- While it waits, nothing else runs in this Lua state, no other coroutine either. A program with coroutines or an event
--- loop asks with 0, for example when the descriptor of `fd` is readable. In WebAssembly nobody can write meanwhile, so it
--- does not wait.
---
--- Errors: bad argument for seconds that are no number, or less than 0; `INVALID` if the watch or the store is closed, in
--- the child of a fork, if a value that is wanted as JSON is none, or in WebAssembly for a wait that would never end;
--- `BUSY`, `IO`, `CORRUPT`.
---
--- ```lua
--- for _, change in ipairs(watch:next(5) or {}) do print(change.type, change.name) end
--- ```
---@param seconds? number fractions too
---@return luat_kv.Change[]? changes
function Watch:next(seconds) end

--- A token for a later watch, in any process: with the option `since` it goes on after the changes that this one has
--- returned so far. In a loop that includes the present one, and not those after it. A token is never too old. It
--- contains what the watch knows of each key: about 40 bytes and the part of the key that differs from the one before. So
--- a program with many keys saves one now and then. With an older token it is told more.
---
--- The store may be closed. Errors: `INVALID` if the watch is closed, and in the child of a fork.
---
--- ```lua
--- local token = places:get("index")
--- local watch = posts:watch({ since = token, existing = not token })
--- for change in watch do
---   index(change)
---   places:put("index", watch:token())
--- end
--- ```
---@return string token
---@nodiscard
function Watch:token() end

--- A descriptor for an event loop: it is readable when `next` may have something to return. That call makes it unreadable
--- again. It may also be readable without a change. The watch closes it; only poll it. `nil` where the system has none:
--- only Linux does.
---
--- A thread of the library waits for changes as long as any watch of the store has a descriptor. Use `next` with it: the
--- descriptor does not show what a loop that has ended has left.
---
--- Errors: `INVALID` if the watch or the store is closed, and in the child of a fork; `IO`.
---
--- ```lua
--- local fd = watch:fd()
--- loop:on_readable(fd, function() for _, change in ipairs(watch:next(0) or {}) do show(change) end end)
--- ```
---@return integer? fd
---@nodiscard
function Watch:fd() end

--- Ends the watch. A second call does nothing; any other use of the watch is an `INVALID` error. On Lua 5.4 and later a
--- variable does it: `local watch <close> = kv:watch()`. Otherwise the collector does.
function Watch:close() end

--- Changes that are made together or not at all. The batch collects steps in their order, and `commit` carries them out
--- in one transaction. Each step returns the batch, so that steps can be chained:
---
--- ```lua
--- local done, version = kv:atomic()
---   :check("stock", meta.version) -- it was not written since
---   :put("stock", left)
---   :namespace("orders"):put(id, order)
---   :commit()
--- ```
---
--- A step raises an error for wrong arguments, and the batch stays without it. Instead of `add`, use a check for nil
--- and a put. A batch that is never committed does nothing.
---@class luat_kv.Batch
local Batch = {}

--- Sets the namespace of the following steps.
---@param name string
---@return luat_kv.Batch
function Batch:namespace(name) end

--- Makes the commit depend on the key still having this version. With `nil`, on the key being missing (or expired).
---@param key string
---@param version string? of `getWithMetadata`, `list` or `commit`
---@return luat_kv.Batch
function Batch:check(key, version) end

--- As `put` of a namespace. A lifetime begins with the commit.
---@param key string
---@param value string|table|number|boolean
---@param options? luat_kv.PutOptions
---@return luat_kv.Batch
function Batch:put(key, value, options) end

--- As `delete` of a namespace.
---@param key string
---@return luat_kv.Batch
function Batch:delete(key) end

--- As `incr` of a namespace. If the value is not an integer, the commit fails.
---@param key string
---@param by? integer
---@param options? luat_kv.IncrOptions
---@return luat_kv.Batch
function Batch:incr(key, by, options) end

--- Makes the changes, and returns `true` and the version of everything that it put; or `false`, with nothing changed,
--- if a check does not hold. The batch cannot be used again after either. An error also changes nothing, and the commit
--- may then be repeated.
---
--- Errors: `INVALID` for a batch that was committed, a counter whose value is not an integer or would overflow, an
--- expiration that has passed meanwhile, or if the store is closed; `READONLY`, `BUSY`, `IO`.
---@return boolean done
---@return string? version
function Batch:commit() end

---@alias luat_kv.BytesType "text"|"arrayBuffer"|{ type?: "text"|"arrayBuffer" }
---@alias luat_kv.JsonType "json"|{ type: "json" }

--- Limits of writes and requests. Stored entries are not affected.
---
--- | | key, namespace, prefix | value | metadata as JSON | `expirationTtl` | page |
--- | --- | --- | --- | --- | --- | --- |
--- | `"default"` | 4 KiB | 512 MiB | 64 KiB | from 1 s | to 10,000 keys |
--- | `"cloudflare"` | 512 B, not `.` or `..` | 25 MiB | 1024 B | from 60 s, `expiration` too | to 1000 keys |
---@alias luat_kv.Limits
---| "default"
---| "cloudflare" # for an app that must later run on Cloudflare KV

--- Which writes survive a power failure. The end of the process alone loses no completed write.
---@alias luat_kv.Durability
---| "normal" # all but the last ones
---| "full" # all of them, at the cost of waiting for the disk with each write

---@class luat_kv.RetryOptions
---@field sleep fun(seconds: number) waits for so many seconds; it may yield
---@field timeout? number how many seconds all waits take together at most (default: 5)

--- `KV.open`, export, import and backup reach any file that the process can reach. Without `open`, no function takes a
--- path: only `namespace`, `array`, `json`, `null` and `_VERSION` are left, and namespaces have no `export` and no
--- `import`. A batch can still write to any namespace of the store.
---@class luat_kv.ModuleOptions
---@field open? boolean false for untrusted code (default: true)
---@field null? userdata|table a host's own null (`vim.NIL`), used for JSON's null in reading and, besides the light userdata NULL, in writing

--- Without `path` and `memory = true`, opens the project's store.
---@class luat_kv.OpenOptions
---@field url? string `postgresql://user@host/database` (libpq's connection URI), `file:///srv/kv.db`, `file:kv.db`, `memory:`, or a path; see `KV.open`
---@field path? string the file, relative to the working directory
---@field memory? boolean a store in memory
---@field limits? luat_kv.Limits the limits (default: `"default"`)
---@field durability? luat_kv.Durability which writes survive a power failure (default: `"normal"`)
---@field busy_timeout? number seconds that a call waits for other processes, from 0 on, fractions too (default: 5)
---@field readonly? boolean no data is written, and the file must exist; SQLite still creates its -wal and -shm beside it
---@field cache_size? integer bytes of memory for values that were read, from 0 (no cache) to the memory of the machine (default: 16 MiB). Stores on one file share one cache, with the size of the first that reads. No effect in memory

---@class luat_kv.PutOptions
---@field expiration? integer Unix time in seconds, in the future, at which the entry expires
---@field expirationTtl? integer seconds from now until then, at least 1; overrides `expiration`
---@field metadata? table|string|number|boolean any JSON value, of at most 64 KiB as JSON

---@class luat_kv.TouchOptions
---@field expiration? integer Unix time in seconds, in the future, at which the entry expires
---@field expirationTtl? integer seconds from now until then, at least 1; overrides `expiration`

---@class luat_kv.IncrOptions
---@field initial? integer the value that a missing key starts from (default: 0)
---@field expiration? integer Unix time in seconds at which the new key expires
---@field expirationTtl? integer seconds from now until then, at least 1; overrides `expiration`

--- The range of a list. Bounds are in byte order, in either direction.
---@class luat_kv.RangeOptions
---@field prefix? string only keys that begin with it, literally
---@field start? string only keys from this one on, inclusive
---@field stop? string only keys before this one, exclusive; not empty
---@field reverse? boolean from the last key to the first
---@field values? boolean|"text"|"json"|"arrayBuffer" whether each key has its `value`, and as which type

---@class luat_kv.ListOptions: luat_kv.RangeOptions
---@field limit? integer the maximum number of keys in a page, 1 to 10,000 (default: 1000); with values it also ends at 16 MiB
---@field cursor? string `cursor` of the page before; prefix and direction must be the same

--- What to watch: by default, the whole namespace.
---@class luat_kv.WatchOptions
---@field keys? string[] only these keys, 1 to 1000 of them, whether they exist or not
---@field prefix? string only keys that begin with it, literally; not with `keys`
---@field existing? boolean whether the first answer is what is there: every live key as a put (default: false)
---@field since? string a `token` of an earlier watch of this namespace, to go on from there; not with `existing` (default: `""`, from now on)
---@field values? boolean|"text"|"json"|"arrayBuffer" whether each put has its `value`, and as which type
---@field type? "text"|"json"|"arrayBuffer" the type of the values, with `values = true`
---@field timeout? number seconds after which a loop ends if nothing has changed (default: it never ends by itself)

---@class luat_kv.ExportOptions
---@field format? "json"|"jsonl" an array, or JSON Lines (default: by the path, `.jsonl` and `.ndjson` are JSON Lines)

---@class luat_kv.ImportOptions
---@field replace? boolean whether existing entries are replaced (default: they are kept)

--- The second result of `getWithMetadata`. A field that was not set is absent.
---@class luat_kv.Meta
---@field expiration? integer Unix time in seconds
---@field metadata? table|string|number|boolean
---@field version string opaque text that identifies the write; each write of a key has a different one

--- The same for an array of keys.
---@class luat_kv.Found: luat_kv.Meta
---@field value any

---@class luat_kv.Page
---@field keys luat_kv.Key[]
---@field list_complete boolean whether no live key follows
---@field cursor? string the `cursor` option of the next page; absent on the last page

--- A key of a page. A field that was not set is absent.
---@class luat_kv.Key
---@field name string
---@field expiration? integer Unix time in seconds
---@field metadata? table|string|number|boolean
---@field version string opaque text that identifies the write
---@field value? any if values were requested

--- The latest state of a key that has changed. A field that was not set is absent.
---@class luat_kv.Change
---@field name string
---@field type "put"|"delete" whether it was stored, or is not there any more
---@field expired? true a delete: it has expired
---@field version? string a put: opaque text that identifies the write
---@field expiration? integer a put: Unix time in seconds
---@field metadata? table|string|number|boolean a put
---@field value? any a put, if values were requested

---@class luat_kv.Stats
---@field path string the file, or `memory`
---@field file_size integer bytes on disk, the log included; 0 in memory
---@field namespaces table<string, { live: integer, expired: integer }> how many keys each has
---@field cache luat_kv.CacheStats the cache of values

--- What the cache of values has done, since the process has the file open; all 0 in memory.
---@class luat_kv.CacheStats
---@field hits integer how many keys were read from the cache
---@field misses integer how many keys were not in the cache, and were read by SQLite
---@field drops integer how often the cache was emptied, because the file was written to in another way than by single writes of this process
---@field size integer the memory that the cache takes, in bytes

return KV
