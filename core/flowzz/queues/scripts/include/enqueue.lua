-- enqueue_one(now, stamp, at): store one job and place it; its nine values start at ARGV[at] (see enqueue.lua).
-- due: Unix ms, or '' for at once. Returns 1 stored, 0 the same job is there already, -1 the id is another job's.

local function enqueue_one(now, stamp, at)
  local id, queue, data, envelope, description, timeout, due, lane, rules = unpack(ARGV, at, at + 8)
  if string.sub(due, 1, 3) == 'in:' then
    due = tostring(now + tonumber(string.sub(due, 4)))
  end
  local key = K.job .. id
  if redis.call('EXISTS', key) == 1 then
    return redis.pcall('HGET', key, 'flowzz') == envelope and 0 or -1
  end
  local later = due ~= '' and tonumber(due) > now
  redis.call('HSET', key,
    'data', data, 'flowzz', envelope, 'origin', queue, 'description', description, 'timeout', timeout,
    'flowzz_lane', lane,
    'created_at', stamp, 'enqueued_at', later and '' or stamp, 'status', later and 'scheduled' or 'queued')
  redis.call('SADD', K.queues, K.queue .. queue)
  for key, rule in string.gmatch(rules, '([^=,]+)=([^,]+)') do redis.call('HSET', K.limits, key, rule) end
  if later then
    redis.call('ZADD', K.scheduled .. queue, string.format('%.3f', tonumber(due) / 1000), id)
    note('delayed', queue, id)
  else
    push(queue, id, lane, false)
    note('waiting', queue, id)
  end
  wake(queue)
  return 1
end
