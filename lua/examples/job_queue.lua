--- A queue of jobs for several workers: lua5.4 lua/examples/job_queue.lua
-- Without arguments, it adds three jobs and does them. In several terminals:
--
--   lua5.4 lua/examples/job_queue.lua add 100
--   lua5.4 lua/examples/job_queue.lua work
--
-- A waiting job is a key `waiting:ID`. A worker takes it by a batch that moves it to `taken:ID`, if nobody was faster.
-- If the worker dies, another one finds that the time of the job is over, and moves it back. What a job does to the
-- store is in the batch that removes it, so it happens once, also if a worker that was thought dead finishes after all.
local host = dofile((arg[0]:match("^.*/") or "") .. "host.lua")
local kv = host.server.KV.namespace("jobs")

local SECONDS = 2 -- that a job may take

local function add(count)
  for _ = 1, count do
    kv:put("waiting:" .. host.server.generate_id(), { added = os.time() })
  end
end

--- Moves a job from one key to another. Returns whether it was still there.
local function move(from, version, to, job)
  return kv:atomic():check(from, version):delete(from):put(to, job):commit()
end

--- Takes a job. Returns its id, or nil if none is waiting.
local function take()
  for name, key in kv:each({ prefix = "waiting:", values = "json" }) do
    local id, job = name:match(":(.*)"), key.value
    job.ends = os.time() + SECONDS
    if move(name, key.version, "taken:" .. id, job) then return id end
  end
end

--- Moves the jobs of dead workers back.
local function put_back()
  for name, key in kv:each({ prefix = "taken:", values = "json" }) do
    if os.time() > key.value.ends then
      move(name, key.version, "waiting:" .. name:match(":(.*)"), key.value)
    end
  end
end

local function work_on(id)
  local job, taken = kv:getWithMetadata("taken:" .. id, "json")
  -- Here is where work is done.
  if job then
    kv:atomic():check("taken:" .. id, taken.version):delete("taken:" .. id):incr("done"):incr("done:" .. id):commit()
  end
end

--- Works until nothing has happened for some seconds, or for ever.
local function work(idle)
  local watch, last = kv:watch({ prefix = "waiting:" }), os.time()
  while not idle or os.time() - last <= idle do
    local id = take()
    if id then
      work_on(id)
      last = os.time()
    else
      put_back()
      watch:next(SECONDS / 2) -- until a job is added or moved back
    end
  end
end

if arg[1] == "add" then
  add(tonumber(arg[2]) or 1)
elseif arg[1] == "work" then
  work(tonumber(arg[2]))
else
  add(3)
  work(0)
  print(("%d jobs are done, %d are left"):format(kv:get("done", "json"), kv:count({ prefix = "waiting:" })))
end
