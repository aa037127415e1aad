-- put_back(turn, id): a job whose hash says that it waits, runs or has ended, but that stands in no such place, is astray: a
-- worker of plain RQ died between taking and claiming it, or keys were lost. Seen so twice, `turn.grace` ms apart, it is put
-- back: who waited waits, who ran has stalled. True when it was. Of a queue with more than LONGEST_LOOK waiting jobs nobody
-- looks for those that are missing from the list.

local LONGEST_LOOK = 10000

local function members(key)
  local ids = {}
  local found = redis.pcall('TYPE', key).ok == 'zset' and redis.call('ZRANGE', key, 0, -1) or {}
  for _, member in ipairs(found) do ids[string.match(member, '^(.*):[^:]*$') or member] = true end
  return ids
end

-- waits(turn, queue, id): in the list, or in RQ's list of what a stock worker is just taking.
local function waits(turn, queue, id)
  if not turn.lists[queue] then
    local ids = {}
    local length = redis.pcall('LLEN', K.queue .. queue)
    if type(length) ~= 'number' or length > LONGEST_LOOK then
      setmetatable(ids, {__index = function() return true end})
    else
      for _, list in ipairs({K.queue .. queue, K.queue .. queue .. ':intermediate'}) do
        for _, member in ipairs(redis.call('LRANGE', list, 0, -1)) do ids[member] = true end
      end
    end
    turn.lists[queue] = ids
  end
  return turn.lists[queue][id]
end

local function runs(turn, queue, id)
  turn.started[queue] = turn.started[queue] or members(K.wip .. queue)
  return turn.started[queue][id]
end

local function stands(key, id)
  local score = redis.pcall('ZSCORE', key, id)
  return score and not score.err
end

local STANDS_IN = {scheduled = K.scheduled, finished = K.finished, failed = K.failed, stopped = K.failed, canceled = K.canceled}

-- is_astray(turn, status, queue, id)
local function is_astray(turn, status, queue, id)
  if status == 'queued' then return not waits(turn, queue, id) end
  if status == 'started' then return not runs(turn, queue, id) end
  if status == 'deferred' then return not stands(K.deferred .. queue, id) and not stands(K.parked .. queue, id) end
  return STANDS_IN[status] and not stands(STANDS_IN[status] .. queue, id)
end

local function return_to(turn, status, queue, id, job)
  local seconds = turn.now / 1000
  if status == 'started' then
    rescue(turn.now, turn.stamp, queue, id .. ':' .. (job[3] or ''), turn.keep, turn.text, turn.max_stalled)
  elseif status == 'queued' then
    push(queue, id, home_lane(id, job[4]), true)
    wake(queue)
  elseif status == 'deferred' then
    local parked = job[5] and job[5] ~= '' and not job[6]
    redis.call('ZADD', (parked and K.parked or K.deferred) .. queue, string.format('%.3f', seconds), id)
  elseif status == 'scheduled' then
    redis.call('ZADD', K.scheduled .. queue, string.format('%.3f', seconds), id)
    wake(queue)
  elseif status == 'stopped' then
    redis.call('ZADD', K.failed .. queue, string.format('%.3f', seconds + YEAR), id)
  else
    shelve(turn.now, queue, status, id, job[9])
  end
  if NOT_DONE[status] then retake_key(id, job[10]) end
end

local function put_back(turn, id)
  local key = K.job .. id
  local job = redis.call('HMGET', key, 'status', 'origin', 'flowzz_execution', 'flowzz_lane', 'flowzz_note',
    'dependency_id', 'flowzz_astray', 'data', 'flowzz_keep', 'flowzz_unique')
  local status, queue, since = job[1], job[2], tonumber(job[7])
  -- What ends by itself, plain RQ lets go of; what has no data is no job.
  if not status or not queue or not job[8] or redis.call('TTL', key) >= 0 then return false end
  if not is_astray(turn, status, queue, id) then
    if job[7] then redis.call('HDEL', key, 'flowzz_astray') end
    return false
  end
  if not since or since > turn.now then
    redis.call('HSET', key, 'flowzz_astray', string.format('%.0f', math.floor(turn.now)))
    return false
  end
  if turn.now - since < turn.grace then return false end
  redis.call('HDEL', key, 'flowzz_astray')
  redis.call('SADD', K.queues, K.queue .. queue)
  note('astray', queue, id, 'it was ' .. status .. ' but stood in no place')
  return_to(turn, status, queue, id, job)
  return true
end
