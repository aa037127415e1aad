-- promote(now, stamp, queue, keep): delayed jobs that are due start to wait, or end when they have expired; returns the
-- next due time (Unix ms) or -1.
-- unblock(now, queue): lanes whose time has come are ready again; returns when the next one is (Unix ms) or -1.
-- claim(…): take up to n waiting jobs of a queue under a lease, in turn, appended to `claims`.
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
    turn.expired = (turn.expired or 0) + 1
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

-- drain_lane(turn, lane, n): the only ready lane, without limits: take n at once. Returns how many it gave.
local function drain_lane(turn, lane, n)
  local list = K.queue .. turn.queue
  local ids = redis.call('LPOP', K.lane .. turn.queue .. '|' .. lane, n) or {}
  local heads = redis.call('LPOP', list, #ids) or {}
  local same = #heads == #ids
  for i, id in ipairs(ids) do same = same and heads[i] == id end
  if not same and #heads > 0 then
    for i = #heads, 1, -1 do redis.call('LPUSH', list, heads[i]) end
  end
  for _, id in ipairs(ids) do
    if same or redis.call('LREM', list, 1, id) > 0 then start(turn, id, lane, '') end
  end
  redis.call('HINCRBY', K.laned, turn.queue, -#ids)
  return #ids
end

-- one_turn(turn, priority): the next company gets one job; returns how many ids left their lane.
local function one_turn(turn, priority, n)
  local queue = turn.queue
  local ring = K.ring .. queue .. '|' .. priority
  local company = redis.call('LPOP', ring)
  local group = K.group .. queue .. '|' .. priority .. '|' .. company
  local lane = redis.call('LPOP', group)
  local _, _, job, keys = lane_parts(lane)
  local gave = 0
  local till, reason = hindrance(turn.now, queue, lane, turn.pauses, company, job, keys)
  if till then
    redis.call('ZADD', K.blocked .. queue, till, lane)
    redis.call('HSET', K.blocks .. queue, lane, reason)
    if till ~= 'inf' and (turn.next_unblock < 0 or till < turn.next_unblock) then turn.next_unblock = till end
  else
    if keys == '' and redis.call('EXISTS', ring, group) == 0 then
      gave = drain_lane(turn, lane, n)
    else
      local id = redis.call('LPOP', K.lane .. queue .. '|' .. lane)
      redis.call('HINCRBY', K.laned, queue, -1)
      gave = 1
      if redis.call('LREM', K.queue .. queue, 1, id) > 0 then
        local member = start(turn, id, lane, keys)
        if member then admit(turn, keys, member) end
      end
    end
    if redis.call('EXISTS', K.lane .. queue .. '|' .. lane) == 1 then redis.call('RPUSH', group, lane) end
  end
  if redis.call('EXISTS', group) == 1 then redis.call('RPUSH', ring, company) end
  return gave
end

local MOST_BLOCKED, MOST_EXPIRED = 1000, 1000

local function claim(turn, n)
  local queue = turn.queue
  adopt(queue)
  turn.next_unblock = unblock(turn.now, queue)
  turn.leases = {}
  local before, refused = turn.claims.n, 0
  while turn.claims.n - before < n and refused < MOST_BLOCKED and (turn.expired or 0) < MOST_EXPIRED do
    local priority = redis.call('ZRANGE', K.rings .. queue, 0, 0)[1]
    if not priority then break end
    if one_turn(turn, priority, n - (turn.claims.n - before)) == 0 then refused = refused + 1 end
    if redis.call('EXISTS', K.ring .. queue .. '|' .. priority) == 0 then
      redis.call('ZREM', K.rings .. queue, priority)
    end
  end
  if #turn.leases > 0 then redis.call('ZADD', K.wip .. queue, unpack(turn.leases)) end
  local stopped = turn.claims.n - before >= n or (turn.expired or 0) >= MOST_EXPIRED
  if stopped and not turn.bounded and redis.call('EXISTS', K.rings .. queue) == 1 then wake(queue) end
  return turn.next_unblock
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
