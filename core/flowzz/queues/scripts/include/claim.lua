-- promote(now, stamp, queue): delayed jobs that are due start to wait; returns the next due time (Unix ms) or -1.
-- claim(…): take up to n waiting jobs of a queue under a lease, appended to `claims`.
-- reclaim(list): the claims of a repeated step that still hold their lease.

local function quarantine(now, queue, id, reason)
  redis.call('HSET', K.quarantine, id, cjson.encode({reason = reason, queue = queue, at_ms = now}))
  note('quarantined', queue, id, reason)
end

local function promote(now, stamp, queue)
  local registry = K.scheduled .. queue
  local first = redis.pcall('ZRANGE', registry, 0, 99, 'WITHSCORES')
  if first.err then return -1 end
  for i = 1, #first, 2 do
    local id, due = first[i], tonumber(first[i + 1]) * 1000
    if due > now then return due end
    redis.call('ZREM', registry, id)
    if redis.call('EXISTS', K.job .. id) == 1 then
      redis.call('HSET', K.job .. id, 'status', 'queued', 'enqueued_at', stamp)
      push(queue, id, false)
      note('waiting', queue, id)
    else
      quarantine(now, queue, id, 'it was delayed, but its hash is gone')
    end
  end
  return #first == 200 and now or -1
end

local FIELDS = {'data', 'flowzz', 'flowzz_attempts', 'flowzz_stalled', 'flowzz_checkpoint', 'timeout', 'status'}

local function claim(now, stamp, worker, token, lease, queue, n, claims)
  local ids = redis.pcall('LPOP', K.queue .. queue, n)
  if not ids then return end
  if ids.err then return end
  local leases = {}
  local ends = string.format('%.3f', (now + lease) / 1000)
  for _, id in ipairs(ids) do
    local key = K.job .. id
    local read = redis.pcall('HMGET', key, unpack(FIELDS))
    if read.err then
      quarantine(now, queue, id, 'its key does not hold a hash')
    elseif not read[1] then
      quarantine(now, queue, id, 'it was waiting, but its hash is gone')
    elseif read[7] == 'started' then
      note('duplicate', queue, id, 'it was in the queue while it ran')
    else
      local execution = token .. '-' .. (#claims + 1)
      redis.call('HSET', key, 'status', 'started', 'started_at', stamp, 'worker_name', worker,
        'flowzz_execution', execution, 'flowzz_note', '')
      leases[#leases + 1] = ends
      leases[#leases + 1] = id .. ':' .. execution
      claims[#claims + 1] = {queue, id, execution, read[1], read[2] or '', read[3] or '0', read[4] or '0',
        read[5] or '', read[6] or '', string.format('%.6f', now / 1000)}
      note('active', queue, id, worker)
    end
  end
  if #leases > 0 then redis.call('ZADD', K.wip .. queue, unpack(leases)) end
  if #ids == n then wake(queue) end
end

local function reclaim(list)
  local claims = {}
  for _, c in ipairs(list) do
    if redis.call('ZSCORE', K.wip .. c[1], c[2] .. ':' .. c[3]) then
      local read = redis.call('HMGET', K.job .. c[2], unpack(FIELDS))
      claims[#claims + 1] = {c[1], c[2], c[3], read[1] or '', read[2] or '', read[3] or '0', read[4] or '0',
        read[5] or '', read[6] or '', string.format('%.6f', now_ms() / 1000)}
    end
  end
  return claims
end
