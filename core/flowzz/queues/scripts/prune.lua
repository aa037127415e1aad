-- Let go of finished work, one queue a call: what is older than it is kept for, then the oldest until the rest takes no more
-- memory than it may. Counts are kept by step. In turn with the queues: duplicates keys whose job is gone or done, and what
-- plain RQ's delete leaves of a job, since it knows no log and no steps; of all Redis's keys it looks at some each time.
-- With them go the values of limits that nothing counts under.
-- KEYS: none.
-- ARGV: 1 interval (ms): a queue is looked at no more often, 2 keep completed for (s), 3 keep failed and canceled for (s),
--       4 keep bytes of a queue's finished jobs, 5 most jobs to let go in this call.
-- Bytes are MEMORY USAGE of a job's hash, results, log and steps: of every job where a registry holds up to 100, else of 100
-- spread evenly over it, times its size. Completed jobs go first, then canceled ones, then failed ones; in each, those with
-- a retention of their own last. Their own times and counts are kept before that.
-- Events: pruned (detail: how many).
-- Returns: {} when nothing is due, else {queue ('' for the duplicates keys and leavings), how many were let go}.
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include full

local SAMPLE, SCAN, SCAN_ALL, LONGEST_LOOK = 100, 200, 5000, 10000
local now = now_ms()
local interval, keep_bytes, most = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[5])
local removed = 0

local function drop(registry, id)
  redis.call('ZREM', registry, id)
  forget(id)
  removed = removed + 1
end

local function by_age(registry, keep_s)
  local before = iso(now - keep_s * 1000)
  local old = redis.pcall('ZRANGEBYSCORE', registry, '-inf', string.format('%.3f', now / 1000 + YEAR - keep_s),
    'LIMIT', 0, most)
  for _, id in ipairs(old.err and {} or old) do
    if removed >= most then return end
    -- Plain RQ scores by when it lets go itself, so the score only proposes; the job says when it ended.
    local times = redis.pcall('HMGET', K.job .. id, 'ended_at', 'enqueued_at', 'created_at')
    local ended = ''
    for i = 3, 1, -1 do ended = not times.err and times[i] and times[i] ~= '' and times[i] or ended end
    if ended < before then drop(registry, id) end
  end
end

-- forget_strangers(registry, kept): ids that others took out of the registry count no more.
local function forget_strangers(registry, kept)
  local MOST = 1000
  local ids = redis.call('ZRANGE', kept, 0, MOST - 1)
  if #ids == 0 then return end
  for i, score in ipairs(redis.call('ZMSCORE', registry, unpack(ids))) do
    if not score then redis.call('ZREM', kept, ids[i]) end
  end
end

-- by_own(queue): jobs with a retention of their own.
local function by_own(queue)
  local keeps = redis.call('HGETALL', K.keeps .. queue)
  for i = 1, #keeps, 2 do
    local kept = K.kept .. queue .. '|' .. keeps[i]
    local registry = REGISTRY[string.match(keeps[i], '|(%a+)$')] .. queue
    local count, seconds = string.match(keeps[i + 1], '^(%d*)|(%d*)$')
    forget_strangers(registry, kept)
    local before = string.format('%.3f', now / 1000 - (tonumber(seconds) or YEAR))
    local over = count ~= '' and redis.call('ZCARD', kept) - tonumber(count) or 0
    local old = redis.call('ZRANGEBYSCORE', kept, '-inf', before, 'LIMIT', 0, most - removed)
    if over > #old then old = redis.call('ZRANGE', kept, 0, math.min(over, most - removed) - 1) end
    for _, id in ipairs(old) do removed = removed + let_go(registry, kept, id) end
    if redis.call('EXISTS', kept) == 0 then redis.call('HDEL', K.keeps .. queue, keeps[i]) end
    if removed >= most then return end
  end
end

local function size(id)
  local bytes = 0
  for _, key in ipairs({K.job .. id, K.results .. id, K.log .. id, K.steps .. id}) do
    bytes = bytes + (redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0') or 0)
  end
  return bytes
end

local function measure(registry)
  local count = redis.pcall('ZCARD', registry)
  if type(count) ~= 'number' or count == 0 then return 0 end
  local looked, bytes = math.min(count, SAMPLE), 0
  for i = 0, looked - 1 do
    local rank = math.floor(i * count / looked)
    bytes = bytes + size(redis.call('ZRANGE', registry, rank, rank)[1])
  end
  return bytes * count / looked
end

local function by_bytes(registries)
  local bytes = 0
  for _, registry in ipairs(registries) do bytes = bytes + measure(registry) end
  for _, registry in ipairs(registries) do
    while bytes > keep_bytes and removed < most do
      local id = redis.pcall('ZRANGE', registry, 0, 0)[1]
      if not id then break end
      bytes = bytes - size(id)
      drop(registry, id)
    end
  end
end

-- is_stale(key, id): no job stands for the key. A waiting job that is in no list was lost by plain RQ.
local function is_stale(key, id)
  local job = redis.pcall('HMGET', K.job .. id, 'status', 'flowzz_unique', 'origin')
  if job.err or job[2] ~= key or not NOT_DONE[job[1]] then return true end
  if job[1] == 'scheduled' then return not redis.call('ZSCORE', K.scheduled .. job[3], id) end
  local list = K.queue .. (job[3] or '')
  return job[1] == 'queued' and redis.call('LLEN', list) <= LONGEST_LOOK and not redis.call('LPOS', list, id)
end

local function free_stale()
  local scanned = redis.call('HSCAN', K.unique, redis.call('HGET', K.pruning, 'cursor') or '0', 'COUNT', SCAN)
  redis.call('HSET', K.pruning, 'cursor', scanned[1])
  for i = 1, #scanned[2], 2 do
    if is_stale(scanned[2][i], scanned[2][i + 1]) then
      redis.call('HDEL', K.unique, scanned[2][i])
      removed = removed + 1
    end
  end
end

-- free_leavings(): the log and the steps of jobs whose hash is gone.
local function free_leavings()
  local scanned = redis.call('SCAN', redis.call('HGET', K.pruning, 'keys') or '0', 'MATCH', 'flowzz:*', 'COUNT', SCAN_ALL)
  redis.call('HSET', K.pruning, 'keys', scanned[1])
  for _, key in ipairs(scanned[2]) do
    for _, prefix in ipairs({K.log, K.steps}) do
      if string.sub(key, 1, #prefix) == prefix and redis.call('EXISTS', K.job .. string.sub(key, #prefix + 1)) == 0 then
        removed = removed + redis.call('UNLINK', key)
      end
    end
  end
end

-- forget_limits(): values of a limit (a phone number, say) that count nothing now, since there may be millions of them over
-- the years; the rule stays under the limit's name. Returns how many.
local function forget_limits()
  local scanned = redis.call('HSCAN', K.limits, redis.call('HGET', K.pruning, 'limits') or '0', 'COUNT', SCAN_ALL)
  redis.call('HSET', K.pruning, 'limits', scanned[1])
  local forgotten = 0
  for i = 1, #scanned[2], 2 do
    local key = scanned[2][i]
    local name = string.match(key, '^([rc]:[^:]*):')
    if name and redis.call('EXISTS', K.rate .. key, K.running .. key, K.awaiting .. key) == 0
      and redis.call('HEXISTS', K.limits, 'all ' .. name) == 1 then
      forgotten = forgotten + redis.call('HDEL', K.limits, key)
    end
  end
  return forgotten
end

local function is_due(field)
  local next_ms = redis.call('HGET', K.pruning, field)
  return not next_ms or tonumber(next_ms) <= now
end

local function done(field, name, more)
  redis.call('HSET', K.pruning, field, string.format('%.0f', more and 0 or now + interval))
  if removed > 0 then note('pruned', name, '', tostring(removed)) end
  publish()
  return {name, removed}
end

even_when_full(K.pruning)
for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
  local queue = string.sub(queue_key, #K.queue + 1)
  if is_due('queue:' .. queue) then
    local finished, canceled, failed = K.finished .. queue, K.canceled .. queue, K.failed .. queue
    by_own(queue)
    by_age(finished, tonumber(ARGV[2]))
    by_age(canceled, tonumber(ARGV[3]))
    by_age(failed, tonumber(ARGV[3]))
    by_bytes({finished, canceled, failed})
    return done('queue:' .. queue, queue, removed >= most)
  end
end
if is_due('unique') then
  free_stale()
  free_leavings()
  return done('unique', '', forget_limits() >= SCAN_ALL / 2)
end
return {}
