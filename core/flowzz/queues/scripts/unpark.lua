-- Jobs that were parked for want of a plugin wait again, now that this process registers them.
-- KEYS: none.
-- ARGV: the job names that are registered here (a parked job's name is its flowzz_note).
-- Events: waiting.
-- Returns: how many jobs wait again; what plain RQ canceled or deleted meanwhile does not.
-- @include time
-- @include events
-- @include place

local known = {}
for _, name in ipairs(ARGV) do known[name] = true end
local stamp = iso(now_ms())
local moved = 0
for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
  local queue = string.sub(queue_key, #K.queue + 1)
  local ids = redis.pcall('ZRANGE', K.parked .. queue, 0, 999)
  if not ids.err then
    for _, id in ipairs(ids) do
      local job = redis.pcall('HMGET', K.job .. id, 'flowzz_note', 'flowzz_lane', 'status')
      if job.err or job[3] ~= 'deferred' then
        redis.call('ZREM', K.parked .. queue, id)
      elseif known[job[1] or ''] then
        redis.call('ZREM', K.parked .. queue, id)
        redis.call('HSET', K.job .. id, 'status', 'queued', 'enqueued_at', stamp, 'flowzz_note', '')
        push(queue, id, home_lane(id, job[2]), false)
        wake(queue)
        note('waiting', queue, id, 'unparked')
        moved = moved + 1
      end
    end
  end
end
publish()
return moved
