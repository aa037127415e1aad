-- Store a batch and enqueue its members.
-- KEYS: none.
-- ARGV: 1 batch id, 2 nonce, 3 callback, 4 callback when a member did not complete (each the values of one job as JSON, or
--       ''), 5 number of jobs, then as in enqueue.lua, their more naming the batch.
-- All or nothing. The same batch id and nonce again change nothing.
-- Events: waiting, delayed, deferred, canceled, batch_finished (every member was skipped or canceled at once).
-- Returns: {1 stored, 0 stored before, -1 the batch id (or its callback's) is taken, -2 a job's id is taken, -3 a parent is not stored;
--   place of that job from 1, or 0}.
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include batches
-- @include flows
-- @include retries
-- @include enqueue

local batch, nonce, count = ARGV[1], ARGV[2], tonumber(ARGV[5])
local key = K.batch .. batch
local now = now_ms()
local stamp = iso(now)
local earlier = redis.call('HGET', key, 'nonce')
if earlier then return {earlier == nonce and 0 or -1, 0} end
local callback = ARGV[3] ~= '' and ARGV[3] or ARGV[4]
if callback ~= '' and redis.call('EXISTS', K.job .. cjson.decode(callback)[1]) == 1 then return {-1, 0} end
local function values(i) return 6 + (i - 1) * ENQUEUE_VALUES end
local known = {}
for i = 1, count do
  if redis.call('EXISTS', K.job .. ARGV[values(i)]) == 1 then return {-2, i} end
  if unknown_parents(values(i), known) then return {-3, i} end
  known[ARGV[values(i)]] = true
end
redis.call('HSET', key, 'nonce', nonce, 'total', count, 'pending', count, 'created_ms', string.format('%.0f', now),
  'callback', ARGV[3], 'on_failure', ARGV[4])
redis.call('ZADD', K.batches, now, batch)
for i = 1, count do redis.call('HSET', K.members .. batch, ARGV[values(i)], 'pending') end
for i = 1, count do
  local answer = enqueue_one(now, stamp, values(i))
  if answer ~= 1 then member_is(now, stamp, batch, ARGV[values(i)], 'skipped') end
end
publish()
return {1, 0}
