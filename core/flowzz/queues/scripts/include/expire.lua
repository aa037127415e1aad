-- expire(now, stamp, queue, id, keep): end a job that may not start any more; the caller has taken it out of its place.
-- It is canceled, and its history ends with the outcome 'expired'.

local function expire(now, stamp, queue, id, keep)
  local key = K.job .. id
  local job = redis.call('HMGET', key, 'flowzz_expires', 'flowzz_attempts', 'flowzz_unique', 'flowzz_children',
    'flowzz_batch', 'flowzz_keep')
  local said = 'expired: it could not start by ' .. iso(tonumber(job[1]))
  redis.call('XADD', K.results .. id, 'MAXLEN', '100', '*', 'type', 3, 'worker_name', '', 'execution_id', '',
    'execution_ended_at', string.format('%.6f', now / 1000), 'outcome', 'expired',
    'attempt', tostring(tonumber(job[2] or '0') + 1), 'note', said)
  redis.call('HSET', key, 'status', 'canceled', 'ended_at', stamp, 'flowzz_note', said)
  shelve(now, queue, 'canceled', id, job[6])
  trim(K.canceled .. queue, keep)
  free_key(id, job[3])
  if job[4] then parent_ended(now, stamp, id, 'canceled') end
  if job[5] then member_is(now, stamp, job[5], id, 'canceled') end
  note('expired', queue, id)
end
