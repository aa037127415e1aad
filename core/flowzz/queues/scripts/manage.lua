-- What a person does to one job: retry, remove or cancel it.
-- KEYS: 1 where the answer is kept for a repeat of this call.
-- @once
-- ARGV: 1 action (retry, remove, cancel), 2 job id, 3 reason, 4 keep failed.
-- Events: waiting, removed, canceled, cancel_requested; of its children waiting, delayed, canceled; batch_finished.
-- Returns: {'ok', status before} | {'missing'} | {'refused', status} (the action does not apply to that status).
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include batches
-- @include flows
-- @include retries
-- @include enqueue
-- @include revive

local action, id, reason = ARGV[1], ARGV[2], ARGV[3]
local key = K.job .. id
local job = redis.pcall('HMGET', key, 'status', 'origin', 'flowzz_lane', 'flowzz_unique',
  'flowzz_children', 'flowzz_batch', 'flowzz_keep')
if job.err then job = {false, false, false} end
local status, queue = job[1], job[2]
if not status or not queue then return {'missing'} end

local PLACE = {scheduled = K.scheduled, failed = K.failed, stopped = K.failed, finished = K.finished,
  canceled = K.canceled, deferred = K.parked}
local ADMITS = {
  retry = {failed = true, canceled = true, scheduled = true, deferred = true, stopped = true},
  remove = {queued = true, scheduled = true, failed = true, finished = true, canceled = true, deferred = true, stopped = true},
  cancel = {queued = true, scheduled = true, deferred = true, started = true},
}
if not ADMITS[action][status] then return {'refused', status} end

local function leave()
  if status == 'queued' then
    withdraw(queue, id, job[3])
  elseif PLACE[status] then
    redis.call('ZREM', PLACE[status] .. queue, id)
    if status == 'deferred' and redis.call('ZREM', K.deferred .. queue, id) == 1 then drop_parents(id) end
  end
end

if action == 'cancel' and status == 'started' then
  redis.call('HSET', key, 'flowzz_cancel', reason)
  note('cancel_requested', queue, id)
else
  local now = now_ms()
  leave()
  if action == 'retry' then
    revive(now, id, queue, job[3], reason)
    note('waiting', queue, id, 'retry')
  elseif action == 'remove' then
    undo_key(id, job[4])
    if job[5] then parent_ended(now, iso(now), id, 'removed') end
    if job[6] and not OUTCOME[status] then member_is(now, iso(now), job[6], id, 'removed') end
    forget(id)
    note('removed', queue, id)
  else
    redis.call('HSET', key, 'status', 'canceled', 'ended_at', iso(now), 'flowzz_note', reason)
    shelve(now, queue, 'canceled', id, job[7])
    trim(K.canceled .. queue, tonumber(ARGV[4]))
    undo_key(id, job[4])
    if job[5] then parent_ended(now, iso(now), id, 'canceled') end
    if job[6] then member_is(now, iso(now), job[6], id, 'canceled') end
    note('canceled', queue, id)
  end
end
trim_own()
publish()
return {'ok', status}
