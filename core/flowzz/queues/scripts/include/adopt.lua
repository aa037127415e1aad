-- Keeps the lanes in line with the list after plain RQ pushed into it, took out of it or emptied it.
-- adopt(queue): what a step does about it: nothing while the counts agree.
-- reconcile(queue): what a sweep does: an exact comparison, of queues that are small or whose counts differ.

local ADOPT, EXACT, EXACT_WHEN_OFF = 200, 200, 20000
local FRONT = '1|||'

-- welcome(queue, id, front): give an id of the list a lane. A job of ours that `rq requeue` put there has all its attempts
-- again, as our own retry gives them; one that RQ took from a lost worker has stalled once more.
local function welcome(queue, id, front)
  local key = K.job .. id
  local job = redis.pcall('HMGET', key, 'flowzz_lane', 'flowzz_execution', 'started_at', 'flowzz', 'flowzz_unique',
    'flowzz_batch')
  local lane = not job.err and job[1]
  if job.err then
    lane = FOREIGN
  elseif not lane or lane == '' then
    lane = front and FRONT or FOREIGN
    if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, 'flowzz_lane', lane) end
  elseif job[2] and (job[3] or '') == '' then
    redis.call('HSET', key, 'flowzz_attempts', '0', 'flowzz_stalled', '0', 'flowzz_note', 'requeued by plain RQ')
    redis.call('HDEL', key, 'flowzz_cancel', 'flowzz_error')
    restore_retries(key, job[4])
    retake_key(id, job[5])
    if job[6] then member_is(0, '', job[6], id, 'pending') end
  elseif job[2] then
    redis.pcall('HINCRBY', key, 'flowzz_stalled', 1)
  end
  enter(queue, id, lane, front)
  note('waiting', queue, id, 'pushed by plain RQ')
end

local function is_stranger(queue, id, rank)
  local lane = redis.pcall('HGET', K.job .. id, 'flowzz_lane')
  if type(lane) ~= 'string' or lane == '' then
    return not redis.call('LPOS', K.lane .. queue .. '|' .. FOREIGN, id, 'RANK', rank)
  end
  return not redis.call('LPOS', K.lane .. queue .. '|' .. lane, id, 'RANK', rank)
end

-- find(queue, length, laned): up to ADOPT ids of the list that no lane has: those pushed in front (before the first that
-- a lane has), and those pushed at the tail, in order.
local function find(queue, length, laned)
  local list, missing = K.queue .. queue, length - laned
  local front, back, seen = {}, {}, {}
  if laned > 0 then
    for _, id in ipairs(redis.call('LRANGE', list, 0, ADOPT - 1)) do
      if #front >= missing or seen[id] or not is_stranger(queue, id, 1) then break end
      seen[id] = true
      front[#front + 1] = id
    end
    if #front == length then front, back, seen = {}, front, {} end
  end
  for _, from in ipairs({length - missing, math.max(0, length - ADOPT)}) do
    for _, id in ipairs(redis.call('LRANGE', list, from, from + ADOPT - 1)) do
      if #front + #back >= math.min(missing, ADOPT) then break end
      if not seen[id] and is_stranger(queue, id, -1) then
        seen[id] = true
        back[#back + 1] = id
      end
    end
  end
  return front, back
end

local function adopt(queue)
  local length = redis.pcall('LLEN', K.queue .. queue)
  if type(length) ~= 'number' then return end
  local laned = tonumber(redis.call('HGET', K.laned, queue) or '0')
  if length == laned then return end
  if length == 0 then return drop_lanes(queue) end
  if length < laned then return end
  local front, back = find(queue, length, laned)
  for i = #front, 1, -1 do welcome(queue, front[i], true) end
  for _, id in ipairs(back) do welcome(queue, id, false) end
end

local function reconcile(queue)
  local length = redis.pcall('LLEN', K.queue .. queue)
  if type(length) ~= 'number' then return end
  local laned = tonumber(redis.call('HGET', K.laned, queue) or '0')
  if length == 0 and laned == 0 then return end
  if math.max(length, laned) > (length == laned and EXACT or EXACT_WHEN_OFF) then return end
  local ids = redis.call('LRANGE', K.queue .. queue, 0, -1)
  local open = {}
  for _, id in ipairs(ids) do open[id] = (open[id] or 0) + 1 end
  local indexed = 0
  each_lane(queue, function(lane)
    local key = K.lane .. queue .. '|' .. lane
    for _, id in ipairs(redis.call('LRANGE', key, 0, -1)) do
      if (open[id] or 0) > 0 then
        open[id] = open[id] - 1
        indexed = indexed + 1
      else
        redis.call('LREM', key, -1, id)
      end
    end
    if redis.call('EXISTS', key) == 0 then unready(queue, lane) end
  end)
  redis.call('HSET', K.laned, queue, indexed)
  for _, id in ipairs(ids) do
    if open[id] > 0 then
      open[id] = open[id] - 1
      welcome(queue, id, false)
    end
  end
end

-- tidy_parked(queue): plain RQ knows no parked jobs, so it leaves those it canceled, deleted or enqueued among them.
local function tidy_parked(queue)
  local ids = redis.pcall('ZRANGE', K.parked .. queue, 0, 199)
  if ids.err then return end
  for _, id in ipairs(ids) do
    if redis.pcall('HGET', K.job .. id, 'status') ~= 'deferred' then redis.call('ZREM', K.parked .. queue, id) end
  end
end
