-- promote(now, stamp, queue, keep): delayed jobs that are due start to wait, or end when they have expired; returns the
-- next due time (Unix ms) or -1.
-- unblock(now, queue): lanes whose time has come are ready again; returns when the next one is (Unix ms) or -1.
-- start(…): put one job under a lease (turns.lua says which).
-- reclaim(ids, token): the claims of a repeated step; the id of one that has lost its lease is ''.

local function quarantine(now, queue, id, reason)
  redis.call('HSET', K.quarantine, id, cjson.encode({reason = reason, queue = queue, at_ms = now}))
  note('quarantined', queue, id, reason)
end

local function promote(now, stamp, queue, keep)
  local registry = K.scheduled .. queue
  local first = redis.pcall('ZRANGE', registry, 0, 99, 'WITHSCORES')
  if first.err then return -1 end
  for i = 1, #first, 2 do
    local id, due = first[i], tonumber(first[i + 1]) * 1000
    if due > now then return due end
    redis.call('ZREM', registry, id)
    local job = redis.pcall('HMGET', K.job .. id, 'data', 'flowzz_lane', 'flowzz_expires')
    if not job.err and (tonumber(job[3]) or math.huge) <= now then
      expire(now, stamp, queue, id, keep)
    elseif not job.err and job[1] then
      redis.call('HSET', K.job .. id, 'status', 'queued', 'enqueued_at', stamp)
      push(queue, id, home_lane(id, job[2]), false)
      note('waiting', queue, id)
    else
      quarantine(now, queue, id, 'it was delayed, but its hash is gone')
    end
  end
  return #first == 200 and now or -1
end

local function unblock(now, queue)
  local first = redis.call('ZRANGE', K.blocked .. queue, 0, 99, 'WITHSCORES')
  for i = 1, #first, 2 do
    local lane, till = first[i], first[i + 1]
    if till == 'inf' then return -1 end
    if tonumber(till) > now then return tonumber(till) end
    redis.call('ZREM', K.blocked .. queue, lane)
    redis.call('HDEL', K.blocks .. queue, lane)
    ready(queue, lane)
  end
  return #first == 200 and now or -1
end

-- hindrance(…): why a lane may not run now: until (Unix ms or 'inf') and what blocks it, or nil.
local function hindrance(now, queue, lane, pauses, company, job, keys)
  if pauses then
    local found = redis.call('HMGET', K.paused, 'job:' .. job, 'company:' .. company)
    for i, name in ipairs({'job:' .. job, 'company:' .. company}) do
      if found[i] then
        local till = cjson.decode(found[i])[2]
        if type(till) ~= 'number' then return 'inf', 'paused ' .. name end
        if till > now then return till, 'paused ' .. name end
      end
    end
  end
  for key in string.gmatch(keys, '[^,]+') do
    local held = redis.call('ZSCORE', K.holds, key)
    if held and tonumber(held) > now then return tonumber(held), 'held ' .. key end
    local n, period = rule_of(key)
    if n and period then
      local oldest = redis.call('LINDEX', K.rate .. key, -n)
      if oldest and tonumber(oldest) + period > now then return tonumber(oldest) + period, 'rate ' .. key end
    elseif n and slots_taken(key) >= n then
      redis.call('ZADD', K.awaiting .. key, 'NX', now, queue .. '|' .. lane)
      redis.call('SADD', K.awaited, key)
      return 'inf', 'concurrency ' .. key
    end
  end
end

-- admit(turn, keys, member): count a start under its limits. Its lease is written at once: slots count only with one.
local function admit(turn, keys, member)
  local now, queue = turn.now, turn.queue
  if keys ~= '' then redis.call('ZADD', K.wip .. queue, turn.ends, member) end
  for key in string.gmatch(keys, '[^,]+') do
    local n, period = rule_of(key)
    if n and period then
      redis.call('RPUSH', K.rate .. key, string.format('%.3f', now))
      redis.call('LTRIM', K.rate .. key, -n, -1)
      redis.call('PEXPIRE', K.rate .. key, period)
    elseif string.sub(key, 1, 2) == 'c:' then -- counted even while nothing limits it: it may be limited again
      redis.call('SADD', K.running .. key, queue .. '|' .. member)
    end
  end
end

-- rq_retry(read): 'retries left|intervals (JSON)' of RQ's own Retry; '' for a job of ours, whose policy counts.
local function rq_retry(envelope, left, intervals)
  return not envelope and left and left .. '|' .. (intervals or '') or ''
end

-- A job of one of these statuses is somewhere else too, or was canceled by plain RQ: what stood in the queue is dropped.
local ELSEWHERE = {started = true, finished = true, failed = true, stopped = true, canceled = true, scheduled = true,
  deferred = true}

-- say(claims, …): add a claim to the answer; `more` of it only when the job is not plain.
local function say(claims, queue, id, data, envelope)
  local n = claims.n
  claims.n = n + 1
  local list, at = claims.list, n * 4
  list[at + 1], list[at + 2], list[at + 3], list[at + 4] = queue, id, data, envelope
end

local function say_more(claims, id)
  local read = redis.call('HMGET', K.job .. id, 'flowzz', 'flowzz_attempts', 'flowzz_stalled', 'flowzz_checkpoint',
    'retries_left', 'retry_intervals')
  local more = claims.more
  more[#more + 1] = claims.n
  more[#more + 1] = read[2] or '0'
  more[#more + 1] = read[3] or '0'
  more[#more + 1] = read[4] or ''
  more[#more + 1] = rq_retry(read[1], read[5], read[6])
end

-- start(turn, id, lane, keys): put one id that has left queue and lane under a lease; its member in rq:wip, or nil when it
-- was no job. Under limits the lane is stored anew, so that the slots return even when plain RQ moved the job meanwhile.
local function start(turn, id, lane, keys)
  local key = K.job .. id
  local read = redis.pcall('HMGET', key, 'data', 'flowzz', 'status')
  if read.err then
    return quarantine(turn.now, turn.queue, id, 'its key does not hold a hash')
  elseif not read[1] then
    return quarantine(turn.now, turn.queue, id, 'it was waiting, but its hash is gone')
  elseif ELSEWHERE[read[3]] then
    return note('duplicate', turn.queue, id, 'it was in the queue while it was ' .. read[3])
  end
  local plain = read[2] and redis.call('HLEN', key) == PLAIN_WAITING
  local expires = not plain and redis.call('HGET', key, 'flowzz_expires')
  if expires and (tonumber(expires) or math.huge) <= turn.now then
    turn.expired = turn.expired + 1
    return expire(turn.now, turn.stamp, turn.queue, id, turn.keep)
  end
  local execution = turn.token .. '-' .. (turn.claims.n + 1)
  if plain and keys == '' then
    redis.call('HSET', key, 'status', 'started', 'started_at', turn.stamp, 'worker_name', turn.worker,
      'flowzz_execution', execution)
  else
    redis.call('HSET', key, 'status', 'started', 'started_at', turn.stamp, 'worker_name', turn.worker,
      'flowzz_execution', execution, 'flowzz_note', '', 'flowzz_lane', lane)
  end
  local member = id .. ':' .. execution
  turn.leases[#turn.leases + 1] = turn.ends
  turn.leases[#turn.leases + 1] = member
  say(turn.claims, turn.queue, id, read[1], read[2] or '')
  if not plain then say_more(turn.claims, id) end
  note('active', turn.queue, id, turn.worker)
  return member
end

local function reclaim(ids, token)
  local claims = {n = 0, list = {}, more = {}}
  for i = 1, #ids, 2 do
    local queue, id = ids[i], ids[i + 1]
    local held = redis.call('ZSCORE', K.wip .. queue, id .. ':' .. token .. '-' .. ((i + 1) / 2))
    local read = held and redis.call('HMGET', K.job .. id, 'data', 'flowzz') or {}
    say(claims, queue, held and id or '', read[1] or '', read[2] or '')
    if held then say_more(claims, id) end
  end
  return claims
end
