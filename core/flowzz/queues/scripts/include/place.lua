-- Where waiting jobs are. rq:queue:<queue> holds every one of them and is the truth; lanes index it for the order.
--
-- A lane is 'priority|company|job|limit keys': jobs in it are alike, so when its head may not run, none may, and nothing
-- is scanned. Three things always hold, and every function here keeps them:
--   a lane with jobs stands once in its company's list, or once in the blocked set, never in both;
--   a company with ready lanes stands once in the ring of its priority;
--   a priority with a ring stands in the queue's rings.

local YEAR = 31536000

local function wake(queue)
  redis.call('ZADD', K.wake .. queue, 0, '1')
end

-- lane_parts(lane): priority, company, job, limit keys; what somebody else wrote there and is no lane counts as plain RQ's.
local function lane_parts(lane)
  local priority, company, job, keys = string.match(lane, '^(%d+)|([^|]*)|([^|]*)|(.*)$')
  if not priority then return '5', '', '', '' end
  return priority, company, job, keys
end

local function ready(queue, lane)
  local priority, company = lane_parts(lane)
  local place = queue .. '|' .. priority
  if redis.call('RPUSH', K.group .. place .. '|' .. company, lane) == 1
    and redis.call('RPUSH', K.ring .. place, company) == 1 then
    redis.call('ZADD', K.rings .. queue, priority, priority)
  end
end

local function unready(queue, lane)
  local priority, company = lane_parts(lane)
  local place = queue .. '|' .. priority
  if redis.call('ZREM', K.blocked .. queue, lane) == 1 then
    redis.call('HDEL', K.blocks .. queue, lane)
  elseif redis.call('LREM', K.group .. place .. '|' .. company, 1, lane) == 1
    and redis.call('EXISTS', K.group .. place .. '|' .. company) == 0 then
    redis.call('LREM', K.ring .. place, 1, company)
    if redis.call('EXISTS', K.ring .. place) == 0 then redis.call('ZREM', K.rings .. queue, priority) end
  end
end

-- each_lane(queue, use): call use(lane) for every lane of the queue, ready or blocked.
local function each_lane(queue, use)
  local lanes = redis.call('ZRANGE', K.blocked .. queue, 0, -1)
  for _, priority in ipairs(redis.call('ZRANGE', K.rings .. queue, 0, -1)) do
    local place = queue .. '|' .. priority
    for _, company in ipairs(redis.call('LRANGE', K.ring .. place, 0, -1)) do
      for _, lane in ipairs(redis.call('LRANGE', K.group .. place .. '|' .. company, 0, -1)) do
        lanes[#lanes + 1] = lane
      end
    end
  end
  for _, lane in ipairs(lanes) do use(lane) end
end

-- drop_lanes(queue): plain RQ emptied the list, so whatever is in the lanes waits no more.
local function drop_lanes(queue)
  each_lane(queue, function(lane)
    redis.call('UNLINK', K.lane .. queue .. '|' .. lane)
    unready(queue, lane)
  end)
  redis.call('HDEL', K.laned, queue)
end

-- enter(queue, id, lane, front): index one id of the list; returns how many are indexed.
local function enter(queue, id, lane, front)
  local push = front and 'LPUSH' or 'RPUSH'
  if redis.call(push, K.lane .. queue .. '|' .. lane, id) == 1 then ready(queue, lane) end
  return redis.call('HINCRBY', K.laned, queue, 1)
end

-- push(queue, id, lane, front): a job starts to wait; the caller has stored the lane in its hash.
local function push(queue, id, lane, front)
  local waiting = redis.call(front and 'LPUSH' or 'RPUSH', K.queue .. queue, id)
  if enter(queue, id, lane, front) > 1 and waiting == 1 then
    drop_lanes(queue)
    enter(queue, id, lane, front)
  end
end

-- push_all(queue, ids, lanes, before): jobs whose hashes are stored start to wait, in this order; `before` did when the call
-- began. The list goes first: whatever breaks behind it, lanes are built anew from it.
local function push_all(queue, ids, lanes, before)
  local by_lane, order = {}, {}
  for i, lane in ipairs(lanes) do
    if not by_lane[lane] then
      by_lane[lane] = {}
      order[#order + 1] = lane
    end
    table.insert(by_lane[lane], ids[i])
  end
  redis.call('RPUSH', K.queue .. queue, unpack(ids))
  local function enter_all()
    for _, lane in ipairs(order) do
      local some = by_lane[lane]
      if redis.call('RPUSH', K.lane .. queue .. '|' .. lane, unpack(some)) == #some then ready(queue, lane) end
    end
    return redis.call('HINCRBY', K.laned, queue, #ids)
  end
  if enter_all() > #ids and before == 0 then
    drop_lanes(queue)
    enter_all()
  end
end

-- withdraw(queue, id, lane): a waiting job stops to wait, wherever in its lane it is.
local function withdraw(queue, id, lane)
  redis.call('LREM', K.queue .. queue, 1, id)
  if lane and redis.call('LREM', K.lane .. queue .. '|' .. lane, 1, id) == 1 then
    redis.call('HINCRBY', K.laned, queue, -1)
    if redis.call('EXISTS', K.lane .. queue .. '|' .. lane) == 0 then unready(queue, lane) end
  end
end

-- keys_of(id, keys): all keys of a job, appended.
local function keys_of(id, keys)
  local n = #keys
  keys[n + 1], keys[n + 2], keys[n + 3], keys[n + 4] = K.job .. id, K.results .. id, K.log .. id, K.steps .. id
  keys[n + 5], keys[n + 6] = K.dependents .. id .. ':dependents', K.dependencies .. id .. ':dependencies'
  return keys
end

local function forget(id)
  redis.call('UNLINK', unpack(keys_of(id, {})))
end

local function trim(registry, keep)
  local over = redis.call('ZCOUNT', registry, '-inf', OWN) - keep
  if over > 0 then
    if over > 1000 then over = 1000 end
    local old = redis.call('ZRANGE', registry, 0, over - 1)
    redis.call('ZREMRANGEBYRANK', registry, 0, over - 1)
    local keys = {}
    for _, id in ipairs(old) do keys_of(id, keys) end
    redis.call('UNLINK', unpack(keys))
  end
end

local FOREIGN = '5|||'

-- home_lane(id, lane): the lane of a job that may come from plain RQ, which knows none.
local function home_lane(id, lane)
  if lane and lane ~= '' then return lane end
  redis.call('HSET', K.job .. id, 'flowzz_lane', FOREIGN)
  return FOREIGN
end

-- rule_of(key): how many, and in how many ms (of a rate); nil when nothing limits it. An edit at run time of the key, else one
-- of all keys of its name, counts before what the jobs' definition said at the last enqueue, of the key or else its name.
local function rule_of(key)
  local name = string.match(key, '^..[^:]*')
  local rules = redis.call('HMGET', K.limits, key, 'edit ' .. key, 'edit ' .. name, 'all ' .. name)
  local n, period = string.match(rules[2] or rules[3] or rules[1] or rules[4] or '', '^(%d+)/?(%d*)')
  return tonumber(n), tonumber(period)
end

-- slots_taken(key): how many hold a slot; holders that are not running any more (RQ's own tools ended them) lose it.
local function slots_taken(key)
  local taken = 0
  for _, holder in ipairs(redis.call('SMEMBERS', K.running .. key)) do
    local queue, member = string.match(holder, '^([^|]*)|(.*)$')
    if queue and redis.call('ZSCORE', K.wip .. queue, member) then
      taken = taken + 1
    else
      redis.call('SREM', K.running .. key, holder)
    end
  end
  return taken
end

-- let_try(key): a few of the lanes that wait for a slot of this limit are ready again.
local function let_try(key)
  for _, waiter in ipairs(redis.call('ZRANGE', K.awaiting .. key, 0, 3)) do
    redis.call('ZREM', K.awaiting .. key, waiter)
    local queue, lane = string.match(waiter, '^([^|]*)|(.*)$')
    if queue and redis.call('ZREM', K.blocked .. queue, lane) == 1 then
      redis.call('HDEL', K.blocks .. queue, lane)
      ready(queue, lane)
      wake(queue)
    end
  end
  if redis.call('EXISTS', K.awaiting .. key) == 0 then redis.call('SREM', K.awaited, key) end
end

-- release(queue, lane, execution member): give back the slots that an execution held, and let waiters try.
local function release(queue, lane, member)
  local keys = lane and select(4, lane_parts(lane)) or ''
  for key in string.gmatch(keys or '', '[^,]+') do
    if string.sub(key, 1, 2) == 'c:' and redis.call('SREM', K.running .. key, queue .. '|' .. member) == 1 then
      let_try(key)
    end
  end
end

-- Jobs with a retention of their own (flowzz_keep, see retention.py) stand in the registries of RQ as all others do, with
-- OWN added to their score: they come after the others, who are counted and trimmed without looking at them.
-- K.kept indexes them by job and status; the registry is the truth, and what is not in it is only forgotten here.
-- shelve(now, queue, status, id, own): an ended job enters its registry; `own` is its flowzz_keep or false.
-- trim_own(): what that made too many goes. Called when all that the script says about the jobs is written.

local REGISTRY = {finished = K.finished, failed = K.failed, canceled = K.canceled}
local shelved = {}

-- own_keep(own, status): job name, count and seconds ('' for no bound) of jobs that end so, or nil when the queue's count.
local function own_keep(own, status)
  local job, completed, completed_s, failed, failed_s = string.match(own or '', '^([^|]*)|(%d*)|(%d*)|(%d*)|(%d*)$')
  local count, seconds = failed, failed_s
  if status == 'finished' then count, seconds = completed, completed_s end
  if job and count .. seconds ~= '' then return job, count, seconds end
end

local function shelve(now, queue, status, id, own)
  local registry, score = REGISTRY[status] .. queue, now / 1000 + YEAR
  local job, count, seconds = own_keep(own, status)
  if job then
    local field = job .. '|' .. status
    score = score + OWN
    redis.call('HSET', K.keeps .. queue, field, count .. '|' .. seconds)
    redis.call('ZADD', K.kept .. queue .. '|' .. field, string.format('%.3f', now / 1000), id)
    if count ~= '' then shelved[#shelved + 1] = {registry, K.kept .. queue .. '|' .. field, tonumber(count)} end
  end
  redis.call('ZADD', registry, string.format('%.3f', score), id)
end

-- let_go(registry, kept, id): 1 when the job was still in its registry, and is gone now with all its keys.
local function let_go(registry, kept, id)
  redis.call('ZREM', kept, id)
  local gone = redis.call('ZREM', registry, id)
  if gone == 1 then forget(id) end
  return gone
end

local function trim_own()
  for _, one in ipairs(shelved) do
    local over = redis.call('ZCARD', one[2]) - one[3]
    if over > 0 then
      for _, id in ipairs(redis.call('ZRANGE', one[2], 0, math.min(over, 1000) - 1)) do let_go(one[1], one[2], id) end
    end
  end
end
