-- Jobs that wait in queues which nobody serves, because their plugin is gone, are parked: visible, and told of as such.
-- KEYS: none.
-- ARGV: 1 how many queues; then their names; then the job names that are registered here.
-- Events: parked.
-- Returns: how many jobs were parked, at most 1000 a queue. A queue that a live worker serves is left alone, and so is
--   what plain RQ enqueued.
-- @include time
-- @include events
-- @include place

local MOST, BEGINNING = 1000, '{"job":"'
local queues = tonumber(ARGV[1])
local known = {}
for i = queues + 2, #ARGV do known[ARGV[i]] = true end
local now = now_ms()

local function is_served(queue)
  local workers = redis.pcall('SMEMBERS', K.workers_of .. queue)
  if workers.err then return true end
  for _, worker in ipairs(workers) do
    if redis.call('EXISTS', worker) == 1 then return true end
  end
  return false
end

-- park(queue, id): whether it was one of ours that nobody here registers.
local function park(queue, id)
  local job = redis.pcall('HMGET', K.job .. id, 'flowzz', 'flowzz_lane', 'status')
  if job.err or not job[1] or job[3] ~= 'queued' or string.sub(job[1], 1, #BEGINNING) ~= BEGINNING then return false end
  local name = string.match(job[1], '^[^"]*"', #BEGINNING + 1)
  name = name and string.sub(name, 1, -2)
  if not name or known[name] then return false end
  withdraw(queue, id, home_lane(id, job[2]))
  redis.call('HSET', K.job .. id, 'status', 'deferred', 'flowzz_note', name)
  redis.call('ZADD', K.parked .. queue, string.format('%.3f', now / 1000), id)
  note('parked', queue, id)
  return true
end

local parked = 0
for i = 2, queues + 1 do
  if not is_served(ARGV[i]) then
    local ids = redis.pcall('LRANGE', K.queue .. ARGV[i], 0, MOST - 1)
    for _, id in ipairs(ids.err and {} or ids) do
      if park(ARGV[i], id) then parked = parked + 1 end
    end
  end
end
publish()
return parked
