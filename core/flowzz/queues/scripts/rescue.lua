-- Give back the jobs whose lease has ended, in all queues; a job that stalls too often fails. Slots of limits that are
-- free though somebody waits for them are offered again. Lanes, parked and deferred jobs are brought in line with what others did.
-- KEYS: none.
-- ARGV: 1 most jobs to move, 2 keep failed, 3 text of the failure (base64 of zlib), 4 max stalled of a job without envelope.
-- Events: stalled, failed, waiting (pushed by plain RQ, or released by a parent), delayed and canceled (by a parent),
--         batch_finished.
-- Returns: for each job moved {queue, id, execution id, 'waiting' | 'failed' | 'gone', its envelope or ''}.
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include batches
-- @include flows
-- @include retries
-- @include enqueue
-- @include adopt
-- @include rescue

local now = now_ms()
local stamp = iso(now)
local moved = {}
for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
  if string.sub(queue_key, 1, #K.queue) == K.queue and #moved < tonumber(ARGV[1]) then
    local queue = string.sub(queue_key, #K.queue + 1)
    reconcile(queue)
    tidy_parked(queue)
    tend_children(now, stamp, queue)
    trim(K.canceled .. queue, tonumber(ARGV[2])) -- parents cancel children without counting them
    local late = redis.pcall('ZRANGEBYSCORE', K.wip .. queue, '-inf', string.format('%.3f', now / 1000),
      'LIMIT', 0, tonumber(ARGV[1]) - #moved)
    if not late.err then
      for _, member in ipairs(late) do
        moved[#moved + 1] = rescue(now, stamp, queue, member, tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]))
      end
    end
  end
end
for _, key in ipairs(redis.call('SMEMBERS', K.awaited)) do
  local n = rule_of(key)
  if not n or slots_taken(key) < n then let_try(key) end
end
for _, key in ipairs(redis.call('SMEMBERS', K.workers)) do
  if redis.call('EXISTS', key) == 0 then
    redis.call('SREM', K.workers, key)
    for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
      redis.call('SREM', K.workers_of .. string.sub(queue_key, #K.queue + 1), key)
    end
  end
end
tend_batches(now, stamp)
trim_own()
publish()
return moved
