-- enqueue_one(now, stamp, id, queue, data, envelope, description, timeout, due): store one job and place it.
-- due: Unix ms, or '' for at once. Returns 1 stored, 0 the same job is there already, -1 the id is another job's.

local function enqueue_one(now, stamp, id, queue, data, envelope, description, timeout, due)
  local key = K.job .. id
  local present = redis.call('HMGET', key, 'flowzz', 'created_at')
  if present[2] then
    return present[1] == envelope and 0 or -1
  end
  local later = due ~= '' and tonumber(due) > now
  redis.call('HSET', key,
    'data', data, 'flowzz', envelope, 'origin', queue, 'description', description, 'timeout', timeout,
    'created_at', stamp, 'enqueued_at', later and '' or stamp, 'status', later and 'scheduled' or 'queued')
  redis.call('SADD', K.queues, K.queue .. queue)
  if later then
    redis.call('ZADD', K.scheduled .. queue, string.format('%.3f', tonumber(due) / 1000), id)
    note('delayed', queue, id)
  else
    push(queue, id, false)
    note('waiting', queue, id)
  end
  wake(queue)
  return 1
end
