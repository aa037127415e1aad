-- A sign of life: renew a worker's registration and the leases of all its executions. Its queues are registered, since
-- RQ's `Queue.delete` takes one off the list although jobs of it run. What runs now is written as RQ's executions, once a
-- heartbeat and not once a job; RQ's registry of a job's executions is not, since RQ would end our lease by it.
-- KEYS: none.
-- ARGV: 1 worker, 2 lease (ms), 3 seconds the registration lives, 4 number of registration fields, then
--       field, value …; then number of queues and the queues; then for each execution: queue, job id, execution id, started at (Unix s).
-- Returns: for each execution 1 renewed, 0 lost, 2 renewed and somebody asked to cancel it,
--   or plain RQ canceled or deleted it.
-- @include time
-- @include full
-- @include executions

local worker, lease = ARGV[1], tonumber(ARGV[2])
local now = now_ms()
local key = K.worker .. worker
local at = 5
local fields = {}
for i = 1, 2 * tonumber(ARGV[4]) do
  fields[i] = ARGV[at]
  at = at + 1
end
even_when_full(key)
redis.call('HSET', key, 'last_heartbeat', iso(now), unpack(fields))
redis.call('HSETNX', key, 'birth', iso(now))
redis.call('EXPIRE', key, ARGV[3])
redis.call('SADD', K.workers, key)
local count = tonumber(ARGV[at])
for i = 1, count do
  redis.call('SADD', K.workers_of .. ARGV[at + i], key)
  redis.call('SADD', K.queues, K.queue .. ARGV[at + i])
end
at = at + count + 1

local answers, running = {}, {}
local ends = string.format('%.3f', (now + lease) / 1000)
while ARGV[at] do
  local queue, id, execution = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local renewed = redis.call('ZADD', K.wip .. queue, 'XX', 'CH', ends, id .. ':' .. execution)
  if renewed == 0 and not redis.call('ZSCORE', K.wip .. queue, id .. ':' .. execution) then
    answers[#answers + 1] = 0
  else
    local job = redis.pcall('HMGET', K.job .. id, 'flowzz_cancel', 'status', 'flowzz_execution')
    if job.err or job[1] or not job[2] or job[2] == 'canceled' then
      answers[#answers + 1] = 2
    elseif job[3] ~= execution then
      redis.call('ZREM', K.wip .. queue, id .. ':' .. execution)
      answers[#answers + 1] = 0
    else
      answers[#answers + 1] = 1
    end
    if answers[#answers] > 0 then running[#running + 1] = {id, execution, ARGV[at + 3]} end
  end
  at = at + 4
end
show_executions(worker, running, now, lease, ARGV[3])
return answers
