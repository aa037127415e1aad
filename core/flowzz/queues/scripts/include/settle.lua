-- settle_all(turn, at, count): end executions, each if it is still its worker's. Returns a digit for each: 1 settled,
-- 0 refused, 2 the job's hash is gone. `turn` collects what one call can do for all of them, and the registries to trim.
-- What plain RQ did to a job while it ran stands: canceled by RQ it ends canceled, enqueued anew it waits.
--
-- An execution is still its worker's when the job's hash says so: who takes a lease away changes the hash in the same
-- call. Hashes are read first, then all leases are given up at once: a first write that Redis lets pass even when it is full.

local RQ_TYPE = {completed = 1, failed = 2, canceled = 3, retrying = 4, postponed = 4, released = 4, parked = 4}
local USES_ATTEMPT = {completed = true, failed = true, retrying = true}
local SETTLE_VALUES = 8

-- settlement(at): the values at ARGV[at], as step.lua has them.
local function settlement(at)
  local s = {queue = ARGV[at], id = ARGV[at + 1], execution = ARGV[at + 2], kind = ARGV[at + 3], attempt = ARGV[at + 4],
    started = ARGV[at + 5], body = ARGV[at + 6], error = '', note = '', hold = '', delay = 0}
  s.member = s.id .. ':' .. s.execution
  if ARGV[at + 7] ~= '' then
    for name, value in pairs(cjson.decode(ARGV[at + 7])) do s[name] = value end
    s.special = true
  end
  return s
end

-- attempts_used(s): runs that have used up an attempt, this one included.
local function attempts_used(s)
  return USES_ATTEMPT[s.kind] and s.attempt or math.max(tonumber(s.attempt) - 1, 0)
end

local function record(turn, s)
  local entry = {'type', RQ_TYPE[s.kind], 'worker_name', turn.worker, 'execution_id', s.execution,
    'execution_started_at', s.started, 'execution_ended_at', turn.seconds, 'outcome', s.kind, 'attempt', s.attempt}
  local n = 14
  if s.body ~= '' then
    entry[n + 1], entry[n + 2] = s.kind == 'completed' and 'return_value' or 'exc_string', s.body
    n = n + 2
  end
  if s.error ~= '' then
    entry[n + 1], entry[n + 2] = 'error', s.error
    n = n + 2
  end
  if s.note ~= '' then entry[n + 1], entry[n + 2] = 'note', s.note end
  redis.call('XADD', K.results .. s.id, 'MAXLEN', '100', '*', unpack(entry))
end

local FINAL = {
  completed = {status = 'finished', registry = K.finished, keep = 'finished'},
  failed = {status = 'failed', registry = K.failed, keep = 'failed'},
  canceled = {status = 'canceled', registry = K.canceled, keep = 'failed'},
}

-- is_taken(key, job, s): plain RQ moved the job since this execution claimed it; a cancel ends it here.
local function is_taken(key, job, s)
  if job[4] == 'canceled' then
    s.kind, s.body, s.error, s.hold, s.note = 'canceled', '', '', '', 'canceled by plain RQ while it ran'
    return false
  end
  return job[4] ~= 'started' or job[5] ~= s.execution
end

-- settle_any(turn, s): end an execution that may have anything: limits, children, a batch, a duplicates key, an error.
local function settle_any(turn, s)
  local now, stamp = turn.now, turn.stamp
  if not s.left and redis.call('ZREM', K.wip .. s.queue, s.member) == 0 then
    note('late_commit_rejected', s.queue, s.id, s.execution)
    return 0
  end
  local key = K.job .. s.id
  local job = redis.call('HMGET', key, 'data', 'flowzz_lane', 'flowzz_unique', 'status', 'flowzz_execution', 'retries_left',
    'flowzz_children', 'flowzz_batch', 'flowzz_keep')
  release(s.queue, job[2], s.member)
  if not job[1] then
    forget(s.id)
    return 2
  end
  if is_taken(key, job, s) then
    note('late_commit_rejected', s.queue, s.id, s.execution)
    return 0
  end
  local final = FINAL[s.kind]
  if final then
    redis.call('HSET', key, 'status', final.status, 'ended_at', stamp, 'flowzz_attempts', attempts_used(s),
      'flowzz_error', s.error, 'flowzz_note', s.note)
    shelve(now, s.queue, final.status, s.id, job[9])
    turn.touched[final.registry .. s.queue] = final.keep
    if job[3] then free_key(s.id, job[3]) end
    if job[7] then parent_ended(now, stamp, s.id, final.status) end
    if job[8] then member_is(now, stamp, job[8], s.id, OUTCOME[final.status]) end
    turn.ended[s.kind] = (turn.ended[s.kind] or 0) + 1
  elseif s.kind == 'released' then
    redis.call('HSET', key, 'status', 'queued', 'flowzz_note', s.note)
    push(s.queue, s.id, home_lane(s.id, job[2]), true)
    wake(s.queue)
  elseif s.kind == 'parked' then
    redis.call('HSET', key, 'status', 'deferred', 'flowzz_note', s.note)
    redis.call('ZADD', K.parked .. s.queue, string.format('%.3f', now / 1000), s.id)
  else
    redis.call('HSET', key, 'status', 'scheduled', 'flowzz_attempts', attempts_used(s), 'flowzz_error', s.error,
      'flowzz_note', s.note)
    if s.kind == 'retrying' and job[6] then
      redis.call('HSET', key, 'retries_left', math.max((tonumber(job[6]) or 0) - 1, 0), 'number_of_retries', s.attempt)
    end
    redis.call('ZADD', K.scheduled .. s.queue, string.format('%.3f', (now + s.delay) / 1000), s.id)
    wake(s.queue)
  end
  if s.hold ~= '' then
    redis.call('ZADD', K.holds, 'GT', string.format('%.3f', now + s.delay), s.hold)
    redis.call('ZREMRANGEBYSCORE', K.holds, '-inf', now)
  end
  record(turn, s)
  note(s.kind, s.queue, s.id, s.attempt)
  return 1
end

-- complete(turn, s): the end of most executions: the job has nothing but what every job has, and its handler returned.
local function complete(turn, s)
  redis.call('HSET', K.job .. s.id, 'status', 'finished', 'ended_at', turn.stamp, 'flowzz_attempts', s.attempt)
  collect(turn.finished, K.finished .. s.queue, turn.kept_till, s.id)
  turn.ended.completed = (turn.ended.completed or 0) + 1
  record(turn, s)
  note('completed', s.queue, s.id, s.attempt)
  return 1
end

local function settle_all(turn, at, count)
  local all, leaving, seen = {}, {}, {}
  for i = 1, count do
    local s = settlement(at + (i - 1) * SETTLE_VALUES)
    all[i] = s
    turn.freed[s.queue] = true
    local job = redis.pcall('HMGET', K.job .. s.id, 'status', 'flowzz_execution', 'worker_name')
    if job[1] == 'started' and job[2] == s.execution and job[3] == turn.worker and not seen[s.member] then
      s.left, seen[s.member] = true, true
      collect(leaving, K.wip .. s.queue, s.member)
      s.plain = s.kind == 'completed' and not s.special and redis.call('HLEN', K.job .. s.id) == PLAIN_STARTED
    end
  end
  in_bulk('ZREM', leaving)
  local verdicts = {}
  for i, s in ipairs(all) do verdicts[i] = s.plain and complete(turn, s) or settle_any(turn, s) end
  in_bulk('ZADD', turn.finished)
  for registry in pairs(turn.finished) do turn.touched[registry] = 'finished' end
  for kind, field in pairs({completed = 'successful_job_count', failed = 'failed_job_count'}) do
    if turn.ended[kind] then redis.call('HINCRBY', K.worker .. turn.worker, field, turn.ended[kind]) end
  end
  for registry, keep in pairs(turn.touched) do trim(registry, turn.keep[keep]) end
  return table.concat(verdicts)
end
