-- Batches: how many members are pending or ended how, and a callback once none is pending.
-- A member knows its batch by its field flowzz_batch, so other jobs cost nothing. Its last outcome stands in K.members: one
-- that is told twice counts once, and one that is replayed before the batch has finished is pending again.

local enqueue_one -- in enqueue.lua

local BATCH_KEPT = 604800
local OUTCOME = {finished = 'completed', failed = 'failed', canceled = 'canceled', stopped = 'canceled'}

-- finish_batch(now, stamp, batch): enqueue the callback, whose id is fixed, so it exists once however often this runs.
local function finish_batch(now, stamp, batch)
  local key = K.batch .. batch
  if redis.call('HSETNX', key, 'finished_ms', string.format('%.0f', now)) == 0 then return end
  redis.call('ZREM', K.batches, batch)
  redis.call('EXPIRE', key, BATCH_KEPT)
  redis.call('EXPIRE', K.members .. batch, BATCH_KEPT)
  local found = redis.call('HMGET', key, 'callback', 'on_failure', 'failed', 'canceled', 'removed')
  local bad = (tonumber(found[3]) or 0) + (tonumber(found[4]) or 0) + (tonumber(found[5]) or 0)
  local values = bad > 0 and found[2] and found[2] ~= '' and found[2] or found[1]
  note('batch_finished', '', batch, tostring(bad))
  if values and values ~= '' then
    values = cjson.decode(values)
    enqueue_one(now, stamp, 0, values)
    redis.call('HSET', key, 'callback_id', values[1])
  end
end

-- member_is(now, stamp, batch, id, outcome): completed, failed, canceled, removed, skipped, or pending again.
local function member_is(now, stamp, batch, id, outcome)
  local key = K.batch .. batch
  local before = redis.call('HGET', K.members .. batch, id)
  if not before or before == outcome then return end
  redis.call('HSET', K.members .. batch, id, outcome)
  redis.call('HINCRBY', key, before, -1)
  redis.call('HINCRBY', key, outcome, 1)
  if redis.call('HGET', key, 'pending') == '0' then finish_batch(now, stamp, batch) end
end

-- tend_batches(now, stamp): look at members that others (a stock worker, RQ's deletes) may have ended.
local function tend_batches(now, stamp)
  if redis.call('EXISTS', K.batches) == 0 then return end
  for _, batch in ipairs(redis.call('ZRANDMEMBER', K.batches, 10)) do
    local key = K.batch .. batch
    local found = redis.call('HSCAN', K.members .. batch, redis.call('HGET', key, 'cursor') or '0', 'COUNT', 200)
    redis.call('HSET', key, 'cursor', found[1])
    for i = 1, #found[2], 2 do
      if found[2][i + 1] == 'pending' then
        local status = redis.pcall('HGET', K.job .. found[2][i], 'status')
        if type(status) == 'table' or not status then status = 'gone' end
        local outcome = status == 'gone' and 'removed' or OUTCOME[status]
        if outcome then member_is(now, stamp, batch, found[2][i], outcome) end
      end
    end
  end
end
