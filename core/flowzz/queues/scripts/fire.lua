-- Claim one tick of one schedule and enqueue its jobs, or run a schedule now: whoever comes second changes nothing.
-- KEYS: 1 where the answer is kept for a repeat of this call.
-- @once
-- ARGV: 1 schedule, 2 tick (Unix ms), 3 how: 'tick', 'missed' (claimed, not run) or 'run' (now; the tick order stays),
--       4 revision of the run-time edits that the caller went by, or '' for any, 5 '1' when a tick must not overlap the
--       one before, 6 who asked (of 'run'), 7 id of the run (of 'run'; a repeat changes nothing), 8 number of jobs,
--       then as in enqueue.lua.
-- Events: tick, tick_missed, tick_overlapped, schedule_run, waiting, delayed, debounced.
-- Returns: {outcome, jobs stored}; outcome 1 done, 0 claimed before (or a newer tick was), -1 somebody has edited the
--   schedule since, -2 claimed but not run: jobs of the tick before are open. Jobs that a duplicates key holds back are
--   not stored.
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include batches
-- @include flows
-- @include retries
-- @include enqueue
-- @include whole

local schedule, tick, how = ARGV[1], ARGV[2], ARGV[3]
local key, open_key = K.schedule .. schedule, K.open .. schedule
local FIRST = 9
local MOST_TICKS = 100
local OPEN = {queued = true, started = true, scheduled = true, deferred = true}
local known = redis.call('HMGET', key, 'last_tick_ms', 'revision', 'last_run')
if ARGV[4] ~= '' and ARGV[4] ~= tostring(whole(known[2])) then return {-1, 0} end
if how == 'run' then
  if known[3] == ARGV[7] then return {0, 0} end
  redis.call('HSET', key, 'last_run', ARGV[7])
else
  if whole(known[1]) >= tonumber(tick) then return {0, 0} end
  redis.call('HSET', key, 'last_tick_ms', tick)
end

local now = now_ms()
local stamp = iso(now)
local stored = 0

-- is_open(): some job of an earlier tick has not ended; those that have are forgotten.
local function is_open()
  for _, id in ipairs(redis.call('SMEMBERS', open_key)) do
    local status = redis.pcall('HGET', K.job .. id, 'status')
    if type(status) == 'string' and OPEN[status] then return true end
    redis.call('SREM', open_key, id)
  end
  return false
end

local function write(event, told)
  note(event, '', schedule, how == 'run' and ARGV[6] or tick)
  redis.call('LPUSH', K.ticks .. schedule, cjson.encode({tick_ms = tonumber(tick), fired_ms = math.floor(now),
    jobs = stored, how = told, by = ARGV[6]}))
  redis.call('LTRIM', K.ticks .. schedule, 0, MOST_TICKS - 1)
  publish()
end

if how == 'missed' then
  write('tick_missed', 'missed')
  return {1, 0}
end
if how == 'tick' and ARGV[5] == '1' and is_open() then
  write('tick_overlapped', 'overlapped')
  return {-2, 0}
end
for i = 1, tonumber(ARGV[8]) do
  local at = FIRST + (i - 1) * ENQUEUE_VALUES
  local answer = enqueue_one(now, stamp, at)
  if answer == 1 then stored = stored + 1 end
  if ARGV[5] == '1' and (type(answer) == 'string' or answer >= 0) then
    redis.call('SADD', open_key, type(answer) == 'string' and answer or ARGV[at])
  end
end
write(how == 'run' and 'schedule_run' or 'tick', how == 'run' and 'run' or 'fired')
return {1, stored}
