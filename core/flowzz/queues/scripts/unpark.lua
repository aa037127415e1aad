-- Jobs that were parked for want of a plugin wait again, now that this process registers them.
-- KEYS: none.
-- ARGV: 1 '' to look at all, or a number from 0 to below 1: at one page of each queue about there; then the job
--       names that are registered here (a parked job's name is its flowzz_note).
-- Events: waiting.
-- Returns: how many jobs wait again, at most 1000: then call it again. What plain RQ canceled or deleted meanwhile does not
--   wait.
-- @include time
-- @include events
-- @include place

local PAGE, MOST = 1000, 1000
local known = {}
for i = 2, #ARGV do known[ARGV[i]] = true end
local stamp = iso(now_ms())

-- look(queue, id): whether it still stands among the parked, and whether it waits now.
local function look(queue, id)
  local job = redis.pcall('HMGET', K.job .. id, 'flowzz_note', 'flowzz_lane', 'status')
  if job.err or job[3] ~= 'deferred' then
    redis.call('ZREM', K.parked .. queue, id)
    return false, false
  elseif not known[job[1] or ''] then
    return true, false
  end
  redis.call('ZREM', K.parked .. queue, id)
  redis.call('HSET', K.job .. id, 'status', 'queued', 'enqueued_at', stamp, 'flowzz_note', '')
  push(queue, id, home_lane(id, job[2]), false)
  note('waiting', queue, id, 'unparked')
  return false, true
end

local moved = 0

local function unpark(queue)
  local parked = redis.pcall('ZCARD', K.parked .. queue)
  if type(parked) ~= 'number' or parked == 0 then return end
  local at, before = 0, moved
  if ARGV[1] ~= '' then at = math.max(0, math.min(math.floor(ARGV[1] * parked) - PAGE / 2, parked - PAGE)) end
  repeat
    local ids = redis.call('ZRANGE', K.parked .. queue, at, at + PAGE - 1)
    for _, id in ipairs(ids) do
      local stays, waits = look(queue, id)
      if stays then at = at + 1 end
      if waits then moved = moved + 1 end
      if moved == MOST then break end
    end
  until ARGV[1] ~= '' or #ids < PAGE or moved == MOST
  if moved > before then wake(queue) end
end

for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
  if moved < MOST then unpark(string.sub(queue_key, #K.queue + 1)) end
end
publish()
return moved
