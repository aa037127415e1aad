-- revive(now, id, queue, lane, reason): a job that ended, or waits elsewhere, waits again with all its attempts. The caller
-- has taken it out of its place. History, log, checkpoint and steps stay.

local function revive(now, id, queue, lane, reason)
  local key = K.job .. id
  redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso(now), 'ended_at', '', 'flowzz_attempts', '0',
    'flowzz_stalled', '0', 'flowzz_note', reason)
  redis.call('HDEL', key, 'flowzz_cancel', 'flowzz_error', 'flowzz_expires', 'flowzz_debounce_until')
  restore_retries(key, redis.call('HGET', key, 'flowzz'))
  retake_key(id, redis.call('HGET', key, 'flowzz_unique'))
  local batch = redis.call('HGET', key, 'flowzz_batch')
  if batch then member_is(now, iso(now), batch, id, 'pending') end
  push(queue, id, home_lane(id, lane), false)
  wake(queue)
end
