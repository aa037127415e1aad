-- Store jobs and put each in its queue, or in its delayed set.
-- KEYS: none (keys are built from ids; Redis Cluster is not supported).
-- ARGV: 1 number of jobs; then for each: id, queue, data (RQ's call), envelope (JSON), description, timeout (s),
--       due (Unix ms, or 'in:<ms>' from now, or ''), lane (see place.lua), rules of its limits ('key=rule,…' or ''),
--       more (JSON {key, window_ms, max_wait_ms, expires, parents, policy}: see admission.py; or '').
-- All or nothing: when the id of one is taken, or a parent of one is not stored, none is.
-- Events: waiting, delayed, debounced, deferred, canceled (a parent had failed already).
-- Returns: for each job 1 stored, 0 it is there already with the same envelope (a repeat), -1 the id is taken, -2 not
--   stored because of another, -3 a parent of it is not stored, or the id (text) of the job that stands for it by its duplicates key.
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include batches
-- @include flows
-- @include retries
-- @include enqueue

local now = now_ms()
local stamp = iso(now)
local count = tonumber(ARGV[1])
local answers = {}
if are_plain(count, 2) then
  enqueue_plain(stamp, count, 2)
  publish()
  for i = 1, count do answers[i] = 1 end
  return answers
end
local taken = false
local function values(i) return 2 + (i - 1) * ENQUEUE_VALUES end
local known = {}
for i = 1, count do
  answers[i] = (count > 1 and id_taken(values(i)) and -1) or (unknown_parents(values(i), known) and -3) or -2
  taken = taken or answers[i] ~= -2
  known[ARGV[values(i)]] = true
end
if taken then return answers end
for i = 1, count do answers[i] = enqueue_one(now, stamp, values(i)) end
publish()
return answers
