-- enqueue_one(now, stamp, at, values): store one job and place it; its values (see enqueue.lua) start at ARGV[at], or
-- are given.
-- Returns 1 stored, 0 the same job is there already, -1 the id is another job's, or the id (text) of the job that stands
-- for it by its duplicates key; a debounced one has then taken over its payload.

local ENQUEUE_VALUES = 10

-- moment(now, text): Unix ms of 'in:<ms>' or '<ms>', nil for ''.
local function moment(now, text)
  if not text or text == '' then return nil end
  if string.sub(text, 1, 3) == 'in:' then return now + tonumber(string.sub(text, 4)) end
  return tonumber(text)
end

-- note_limits(rules): what the job's definition says of its limits; of one value among many also under their name, so that
-- it holds when prune has forgotten the value.
local function note_limits(rules)
  for key, rule in string.gmatch(rules, '([^=,]+)=([^,]+)') do
    local name = string.match(key, '^..[^:]*')
    if name == key then
      redis.call('HSET', K.limits, key, rule)
    else
      redis.call('HSET', K.limits, key, rule, 'all ' .. name, rule)
    end
  end
end

-- id_taken(at): the id at ARGV[at] is that of another job.
local function id_taken(at)
  local key = K.job .. ARGV[at]
  return redis.call('EXISTS', key) == 1 and redis.pcall('HGET', key, 'flowzz') ~= ARGV[at + 3]
end

-- debounce(now, id, extra, …): the job that is still delayed takes over payload and lane, and is put off.
local function debounce(now, id, extra, data, lane, rules)
  local key = K.job .. id
  local job = redis.call('HMGET', key, 'origin', 'flowzz_debounce_until')
  local due = now + extra.window_ms
  if job[2] and tonumber(job[2]) < due then due = tonumber(job[2]) end
  redis.call('HSET', key, 'data', data, 'flowzz_lane', lane)
  local expires = moment(now, extra.expires)
  if expires then redis.call('HSET', key, 'flowzz_expires', string.format('%.0f', expires)) end
  note_limits(rules)
  redis.call('ZADD', K.scheduled .. job[1], 'XX', string.format('%.3f', due / 1000), id)
  note('debounced', job[1], id)
end

-- admit_more(now, key, id, extra): store what only some jobs have.
local function admit_more(now, key, id, extra)
  local expires = moment(now, extra.expires)
  if expires then redis.call('HSET', key, 'flowzz_expires', string.format('%.0f', expires)) end
  if extra.keep then redis.call('HSET', key, 'flowzz_keep', extra.keep) end
  if extra.batch then redis.call('HSET', key, 'flowzz_batch', extra.batch) end
  if extra.key then
    redis.call('HSET', key, 'flowzz_unique', extra.key)
    if string.sub(extra.key, 1, 2) == 't:' then
      redis.call('SET', K.throttle .. extra.key, id, 'PX', extra.window_ms)
    else
      redis.call('HSET', K.unique, extra.key, id)
    end
  end
  if extra.max_wait_ms then
    redis.call('HSET', key, 'flowzz_debounce_until', string.format('%.0f', now + extra.max_wait_ms))
  end
end

local function store(stamp, later, id, queue, data, envelope, description, timeout, lane)
  redis.call('HSET', K.job .. id,
    'data', data, 'flowzz', envelope, 'origin', queue, 'description', description, 'timeout', timeout,
    'flowzz_lane', lane, 'retries_left', retries_at_first(envelope) or 0,
    'created_at', stamp, 'enqueued_at', later and '' or stamp, 'status', later and 'scheduled' or 'queued')
end

-- Ids of this call that were not stored because another job stands for them: who depends on one waits for that job.
local stand_ins = {}

function enqueue_one(now, stamp, at, values)
  local id, queue, data, envelope, description, timeout, due, lane, rules, extra = unpack(values or ARGV,
    values and 1 or at, values and 10 or at + 9)
  local key = K.job .. id
  if redis.call('EXISTS', key) == 1 then
    return redis.pcall('HGET', key, 'flowzz') == envelope and 0 or -1
  end
  due = moment(now, due)
  extra = extra ~= '' and cjson.decode(extra) or nil
  if extra and extra.key then
    local first = standing(now, extra.key)
    local debounced = string.sub(extra.key, 1, 2) == 'd:'
    if first and debounced then debounce(now, first, extra, data, lane, rules) end
    if first then
      stand_ins[id] = first
      return first
    end
    if debounced then due = now + extra.window_ms end
  end
  local later = due and due > now
  store(stamp, later, id, queue, data, envelope, description, timeout, lane)
  if extra then admit_more(now, key, id, extra) end
  redis.call('SADD', K.queues, K.queue .. queue)
  note_limits(rules)
  for i, parent in ipairs(extra and extra.parents or {}) do extra.parents[i] = stand_ins[parent] or parent end
  if extra and extra.parents and defer(now, stamp, queue, id, extra, due) then return 1 end
  if later then
    redis.call('ZADD', K.scheduled .. queue, string.format('%.3f', due / 1000), id)
    note('delayed', queue, id)
  else
    push(queue, id, lane, false)
    note('waiting', queue, id)
  end
  wake(queue)
  return 1
end

-- are_plain(count, first): the jobs at ARGV[first] on are all new, wait at once, and have nothing of what only some have.
local function are_plain(count, first)
  local keys, seen = {}, {}
  for i = 0, count - 1 do
    local at = first + i * ENQUEUE_VALUES
    if ARGV[at + 6] ~= '' or ARGV[at + 9] ~= '' or seen[ARGV[at]] then return false end
    seen[ARGV[at]] = true
    keys[i + 1] = K.job .. ARGV[at]
  end
  return count > 0 and count <= 1000 and redis.call('EXISTS', unpack(keys)) == 0
end

-- enqueue_plain(stamp, count, first): store such jobs, and let all of a queue wait by one command. What a queue's list is, is
-- looked at before anything is written: a job that is stored and stands nowhere would have to be found.
local function enqueue_plain(stamp, count, first)
  local queues, order, noted = {}, {}, ''
  for i = 0, count - 1 do
    local queue = ARGV[first + i * ENQUEUE_VALUES + 1]
    if not queues[queue] then
      queues[queue] = {ids = {}, lanes = {}, before = redis.call('LLEN', K.queue .. queue)}
      order[#order + 1] = queue
    end
  end
  for i = 0, count - 1 do
    local at = first + i * ENQUEUE_VALUES
    local id, queue, lane, rules = ARGV[at], ARGV[at + 1], ARGV[at + 7], ARGV[at + 8]
    store(stamp, false, id, queue, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], lane)
    if rules ~= noted then note_limits(rules) end
    noted = rules
    local new = queues[queue]
    new.ids[#new.ids + 1], new.lanes[#new.lanes + 1] = id, lane
    note('waiting', queue, id)
  end
  for _, queue in ipairs(order) do
    local new = queues[queue]
    if new.before == 0 then redis.call('SADD', K.queues, K.queue .. queue) end
    push_all(queue, new.ids, new.lanes, new.before)
    wake(queue)
  end
end
