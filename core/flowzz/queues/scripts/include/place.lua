-- push(queue, id, front): make a job wait. wake(queue): tell one idle worker.
-- forget(id): delete a job's hash, results and log. trim(registry, keep): drop the oldest beyond `keep`.

local YEAR = 31536000

local function wake(queue)
  redis.call('ZADD', K.wake .. queue, 0, '1')
end

local function push(queue, id, front)
  redis.call(front and 'LPUSH' or 'RPUSH', K.queue .. queue, id)
end

local function forget(id)
  redis.call('UNLINK', K.job .. id, K.results .. id, K.log .. id)
end

local function trim(registry, keep)
  local over = redis.call('ZCARD', registry) - keep
  if over > 0 then
    if over > 1000 then over = 1000 end
    local old = redis.call('ZRANGE', registry, 0, over - 1)
    redis.call('ZREMRANGEBYRANK', registry, 0, over - 1)
    for _, id in ipairs(old) do forget(id) end
  end
end
