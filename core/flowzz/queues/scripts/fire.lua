-- Claim one tick of one schedule and enqueue its jobs: whoever comes second changes nothing.
-- KEYS: none.
-- ARGV: 1 schedule, 2 tick (Unix ms), 3 number of jobs, then as in enqueue.lua.
-- Events: tick, waiting, delayed, debounced.
-- Returns: -1 the tick (or a newer one) was claimed before, else how many jobs were stored (those that a duplicates key
--   holds back are not).
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include retries
-- @include enqueue

local key = K.schedule .. ARGV[1]
local last = redis.call('HGET', key, 'last_tick_ms')
if last and tonumber(last) >= tonumber(ARGV[2]) then
  return -1
end
redis.call('HSET', key, 'last_tick_ms', ARGV[2])
local now = now_ms()
local stamp = iso(now)
local stored = 0
for i = 1, tonumber(ARGV[3]) do
  local answer = enqueue_one(now, stamp, 4 + (i - 1) * ENQUEUE_VALUES)
  if answer == 1 then stored = stored + 1 end
end
note('tick', '', ARGV[1], ARGV[2])
publish()
return stored
