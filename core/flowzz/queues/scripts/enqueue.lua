-- Store jobs and put each in its queue, or in its delayed set.
-- KEYS: none (keys are built from ids; Redis Cluster is not supported).
-- ARGV: 1 number of jobs; then for each: id, queue, data (RQ's call), envelope (JSON), description, timeout (s),
--       due (Unix ms, or 'in:<ms>' from now, or ''), lane (see place.lua), rules of its limits ('key=rule,…' or '').
-- Events: waiting, delayed.
-- Returns: for each job 1 stored, 0 it is there already with the same envelope (a repeat), -1 the id is taken.
-- @include time
-- @include events
-- @include place
-- @include enqueue

local now = now_ms()
local stamp = iso(now)
local answers = {}
for i = 1, tonumber(ARGV[1]) do
  answers[i] = enqueue_one(now, stamp, 2 + (i - 1) * 9)
end
publish()
return answers
