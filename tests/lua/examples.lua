--- The example projects in lua/examples/site work as intended, and so do the scripts that show them.
local json = require("luat_kv").json
local lu = require("luaunit")
local support = require("support")

local Examples = {}

function Examples:setUp()
  self.project = support.folder()
end

--- Runs Lua code in a process of its own in the project's folder, with the host of the examples as `host`.
local function run(self, code)
  return support.run(("local host = dofile(%q) "):format(support.root .. "/lua/examples/host.lua") .. code,
    { dir = self.project })
end

--- Runs one of the example scripts in the project's folder, and returns what it printed.
local function show(self, name)
  local command = "cd %s && " .. support.interpreter() .. " %s"
  return support.must(command, self.project, ("%s/lua/examples/%s.lua"):format(support.root, name))
end

-- Session storage

function Examples:test_a_session_lives_until_it_is_destroyed()
  run(self, [[
    local session = host.require("session")
    local before = os.time()
    local id = session.create("user-42")
    local data = session.get(id)
    assert(data.user_id == "user-42" and data.created >= before and data.created <= os.time())
    local other = session.create("user-43")
    session.destroy(id)
    assert(session.get(id) == nil)
    assert(session.get(other).user_id == "user-43")
    session.destroy(id)
  ]])
end

function Examples:test_a_session_ends_after_24_hours()
  run(self, [[
    local session = host.require("session")
    local before = os.time()
    local id = session.create("user-42")
    local _, meta = KV.namespace("sessions"):getWithMetadata("session:" .. id)
    assert(meta.expiration >= before + 86400 and meta.expiration <= os.time() + 86402)
  ]])
end

function Examples:test_a_session_outlives_the_process()
  local id = run(self, 'print(host.require("session").create("user-42"))')
  lu.assertStrMatches(id, "%x+")
  lu.assertEquals(#id, 32)
  lu.assertEquals(run(self, ('print(host.require("session").get(%q).user_id)'):format(id)), "user-42")
end

function Examples:test_session_ids_differ()
  run(self, [[
    local seen = {}
    for _ = 1, 1000 do
      local id = host.server.generate_id()
      assert(#id == 32 and not seen[id])
      seen[id] = true
    end
  ]])
end

-- Caching API responses

local count_fetches = [[
  local api = host.route("api/posts/+server.lua")
  local fetched = 0
  host.server.fetch_posts_from_db = function()
    fetched = fetched + 1
    return { { slug = "a", tags = KV.array() }, { slug = "b", tags = { "x" } } }
  end
]]

function Examples:test_the_first_response_is_a_miss_and_the_next_a_hit()
  run(self, count_fetches .. [[
    local first, second = api.GET({}), api.GET({})
    assert(first.status == 200 and first.headers["X-Cache"] == "MISS")
    assert(second.status == 200 and second.headers["X-Cache"] == "HIT")
    assert(fetched == 1)
    assert(#second.body == 2 and second.body[1].slug == "a" and second.body[2].tags[1] == "x")
    assert(KV.json.encode(second.body[1].tags) == "[]")
  ]])
end

function Examples:test_the_cache_is_good_for_5_minutes()
  run(self, count_fetches .. [[
    local before = os.time()
    api.GET({})
    local _, meta = KV.namespace("cache"):getWithMetadata("posts:all")
    assert(meta.expiration >= before + 300 and meta.expiration <= os.time() + 302)
    KV.namespace("cache"):delete("posts:all")
    assert(api.GET({}).headers["X-Cache"] == "MISS" and fetched == 2)
  ]])
end

function Examples:test_the_cache_outlives_the_process()
  run(self, count_fetches .. 'assert(api.GET({}).headers["X-Cache"] == "MISS")')
  run(self, count_fetches .. 'assert(api.GET({}).headers["X-Cache"] == "HIT" and fetched == 0)')
end

-- Blog

function Examples:test_the_blog_creates_reads_updates_and_deletes()
  run(self, [[
    local blog = host.require("blog")
    assert(#blog.get_posts() == 0)
    local before = os.time()
    local post = blog.create_post({ slug = "b", title = "Second", author = "alice" })
    assert(post.created >= before)
    blog.create_post({ slug = "a", title = "First", author = "bob" })
    assert(blog.get_post("b").title == "Second" and blog.get_post("missing") == nil)
    local posts = blog.get_posts()
    assert(#posts == 2 and posts[1].slug == "a" and posts[2].slug == "b")

    local updated = blog.update_post("b", { title = "New", draft = false })
    assert(updated.title == "New" and updated.updated >= before and updated.author == "alice")
    assert(blog.get_post("b").title == "New" and blog.get_post("b").draft == false)
    local nothing, err = blog.update_post("missing", { title = "New" })
    assert(nothing == nil and err == "Post not found")

    blog.delete_post("b")
    blog.delete_post("b")
    assert(blog.get_post("b") == nil and #blog.get_posts() == 1)
  ]])
end

function Examples:test_a_post_has_its_author_as_metadata()
  run(self, [[
    local post = host.require("blog").create_post({ slug = "a", title = "First", author = "alice" })
    local key = KV.namespace("blog"):list({ prefix = "post:" }).keys[1]
    assert(key.name == "post:a" and key.expiration == nil)
    assert(key.metadata.author == "alice" and key.metadata.created == post.created)
  ]])
end

function Examples:test_posts_outlive_the_process()
  run(self, 'host.require("blog").create_post({ slug = "a", title = "First", author = "alice" })')
  lu.assertEquals(run(self, 'print(host.require("blog").get_posts()[1].title)'), "First")
  lu.assertTrue(support.exists(self.project .. "/.luat/data/kv.db"))
end

-- Form actions

function Examples:test_the_page_loads_saves_and_deletes()
  run(self, [[
    local blog, page = host.require("blog"), host.route("blog/[slug]/edit/+page.server.lua")
    blog.create_post({ slug = "a", title = "First", content = "…", author = "alice" })
    local a, missing = { slug = "a" }, { slug = "missing" }

    assert(page.load({ params = a }).post.title == "First")
    local none = page.load({ params = missing })
    assert(none.status == 404 and none.error == "Post not found")

    local form = { title = "Better", content = "Words" }
    assert(page.actions.default({ params = a, form = form }).saved == true)
    assert(page.load({ params = a }).post.content == "Words")
    local failed = page.actions.default({ params = missing, form = form })
    assert(failed.status == 400 and failed.data.error == "Post not found")

    assert(page.actions.delete({ params = a }).redirect == "/blog")
    assert(page.load({ params = a }).status == 404)
  ]])
end

-- The host

function Examples:test_server_side_names_are_no_globals()
  run(self, [[
    local page = host.route("blog/[slug]/edit/+page.server.lua")
    for _, name in ipairs({ "KV", "json", "generate_id", "fetch_posts_from_db", "fail", "actions", "GET" }) do
      assert(rawget(_G, name) == nil, name)
    end
    assert(load ~= page.load)
  ]])
end

-- The scripts

function Examples:test_the_blog_finds_the_posts_of_an_earlier_run()
  local first = show(self, "blog")
  lu.assertStrContains(first, "found no posts")
  lu.assertStrContains(first, self.project .. "/.luat/data/kv.db")
  local second = show(self, "blog")
  lu.assertStrContains(second, "found 2 posts written by an earlier run")
  lu.assertStrContains(second, "Hello, world")
  lu.assertStrContains(show(self, "blog"), "found 3 posts written by an earlier run")
end

function Examples:test_the_session_script_tells_a_session()
  local told = show(self, "session")
  lu.assertStrMatches(told, "Alice logs in%.   Her session is %x+, good for 24 hours%.\n" ..
    "A request comes%. It is from user%-42, logged in since %d+:%d+:%d+%.\n" ..
    "A guessed id     finds nil%.\n" ..
    "Alice logs out%.  Her session is nil%.")
end

function Examples:test_the_cache_script_tells_one_miss()
  lu.assertStrContains(show(self, "cache"), "The database was asked 1 time.")
  lu.assertStrContains(show(self, "cache"), "The database was asked 0 times.")
end

function Examples:test_the_rate_limiter_lets_five_pass()
  local expected = {}
  for request = 1, 7 do
    expected[request] = ("request %d: %s, %d left"):format(request,
      request <= 5 and "200 OK" or "429 Too Many Requests", math.max(5 - request, 0))
  end
  lu.assertEquals(show(self, "rate_limiter"), table.concat(expected, "\n"))
  lu.assertStrContains(show(self, "rate_limiter"), "request 1: 429")
end

function Examples:test_the_lock_keeps_out_whoever_comes_second()
  local told = table.concat({
    "alice makes the report", "bob is let in:  false", "alice is let in: true",
    "carol makes it again", "carol is let in: true",
  }, "\n")
  lu.assertEquals(show(self, "job_lock"), told)
  lu.assertEquals(show(self, "job_lock"), told)
end

function Examples:test_the_shop_sells_what_it_has()
  local told = table.concat({
    "alice buys an apple: yes", "bob   buys an apple: yes", "carol buys an apple: sold out", "2 orders, 0 apples left",
  }, "\n")
  lu.assertEquals(show(self, "stock"), told)
  lu.assertEquals(show(self, "stock"), told)
end

-- Watches

function Examples:test_the_settings_follow_the_store()
  local told = "theme: dark, limit: nil\ntheme: light, limit: 20"
  lu.assertEquals(show(self, "settings"), told)
  lu.assertEquals(show(self, "settings"), told)
end

function Examples:test_the_queue_does_its_own_jobs()
  lu.assertEquals(show(self, "job_queue"), "3 jobs are done, 0 are left")
end

--- Workers are killed in the midst of jobs. The last ones do what is left, when the time of the taken jobs is over.
function Examples:test_no_job_is_lost_or_done_twice_when_workers_are_killed()
  support.must("cd %s && queue() { exec " .. support.interpreter() .. [[ %s "$@"; }
    (queue add 2000)
    for round in 1 2 3 4 5 6; do
      workers=
      for worker in 1 2 3; do queue work & workers="$workers $!"; done
      sleep 0.2
      kill -9 $workers
      wait $workers || :
    done 2>/dev/null
    for worker in 1 2 3; do queue work 3 & done
    wait]], self.project, support.root .. "/lua/examples/job_queue.lua")
  run(self, [[
    local kv, times = KV.namespace("jobs"), 0
    for name, key in kv:each({ prefix = "done:", values = "json" }) do
      assert(key.value == 1, name)
      times = times + 1
    end
    assert(times == 2000 and kv:get("done", "json") == 2000, times)
    assert(kv:count({ prefix = "waiting:" }) == 0 and kv:count({ prefix = "taken:" }) == 0)
  ]])
end

function Examples:test_events_are_sent_to_all_that_listen()
  local has_socket, socket = pcall(require, "socket")
  lu.skipIf(not has_socket, "there is no luasocket for this Lua")
  local id = support.must("cd %s && { " .. support.interpreter() .. " %s >told 2>&1 & echo $!; }", self.project,
    support.root .. "/lua/examples/events.lua")
  local told = support.must("cd %s && until grep http told; do sleep 0.05; done", self.project)
  local listeners = {}
  for place = 1, 3 do
    local listener = assert(socket.connect("127.0.0.1", tonumber(told:match(":(%d+)/"))))
    listener:settimeout(30)
    listener:send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    repeat local line = assert(listener:receive("*l")) until line == ""
    listeners[place] = listener
  end
  listeners[2]:close()
  for place = 1, 2 do
    run(self, ('KV.namespace("posts"):put("hello", "post %d")'):format(place))
    for _, listener in ipairs({ listeners[1], listeners[3] }) do
      lu.assertEquals(assert(listener:receive("*l")), "event: put")
      local data = json.decode(assert(listener:receive("*l")):match("^data: (.*)"))
      lu.assertEquals(data, { key = "hello", value = "post " .. place })
      lu.assertEquals(assert(listener:receive("*l")), "")
    end
  end
  support.must("kill %s", id)
  lu.assertEquals(support.must("sed 1d %s/told", self.project), "")
end

function Examples:test_the_listing_has_the_newest_first()
  lu.assertEquals(show(self, "listing"), table.concat({
    "003: Newest first, by alice", "002: This post outlives its process, by alice", "001: Hello, world, by alice",
  }, "\n"))
end

function Examples:test_the_forms_script_tells_an_edit()
  lu.assertEquals(show(self, "forms"), table.concat({
    "GET  /blog/draft/edit: A draft",
    "POST /blog/draft/edit (default): saved",
    "GET  /blog/draft/edit: A better title",
    "POST /blog/draft/edit (delete): redirect to /blog",
    "GET  /blog/draft/edit: 404 Post not found",
    "POST /blog/draft/edit (default): 400 Post not found",
  }, "\n"))
end

return { TestExamples = Examples }
