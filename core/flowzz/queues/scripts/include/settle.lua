-- settle(now, stamp, worker, touched, s): end one execution, if it still holds its lease.
-- Returns 1 settled, 0 refused, 2 the job's hash is gone. `touched` collects registries to trim.
-- What plain RQ did to the job while it ran stands: canceled by RQ it ends canceled, enqueued anew it waits.

local RQ_TYPE = {completed = 1, failed = 2, canceled = 3, retrying = 4, postponed = 4, released = 4, parked = 4}

local function record(now, worker, s)
  local entry = {'type', RQ_TYPE[s.kind], 'worker_name', worker, 'execution_id', s.execution,
    'execution_started_at', s.started, 'execution_ended_at', string.format('%.6f', now / 1000),
    'outcome', s.kind, 'attempt', s.attempt}
  local function add(field, value)
    entry[#entry + 1] = field
    entry[#entry + 1] = value
  end
  if s.body ~= '' then add(s.kind == 'completed' and 'return_value' or 'exc_string', s.body) end
  if s.error ~= '' then add('error', s.error) end
  if s.note ~= '' then add('note', s.note) end
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
    s.made = math.max(tonumber(s.attempt) - 1, 0)
    return false
  end
  return job[4] ~= 'started' or job[5] ~= s.execution
end

local function settle(now, stamp, worker, touched, s)
  if redis.call('ZREM', K.wip .. s.queue, s.id .. ':' .. s.execution) == 0 then
    note('late_commit_rejected', s.queue, s.id, s.execution)
    return 0
  end
  local key = K.job .. s.id
  local job = redis.call('HMGET', key, 'data', 'flowzz_lane', 'flowzz_unique', 'status', 'flowzz_execution', 'retries_left',
    'flowzz_children', 'flowzz_batch', 'flowzz_keep')
  release(s.queue, job[2], s.id .. ':' .. s.execution)
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
    redis.call('HSET', key, 'status', final.status, 'ended_at', stamp, 'flowzz_attempts', s.made,
      'flowzz_error', s.error, 'flowzz_note', s.note)
    shelve(now, s.queue, final.status, s.id, job[9])
    touched[final.registry .. s.queue] = final.keep
    if job[3] then free_key(s.id, job[3]) end
    if job[7] then parent_ended(now, stamp, s.id, final.status) end
    if job[8] then member_is(now, stamp, job[8], s.id, OUTCOME[final.status]) end
    if s.kind == 'completed' then
      redis.call('HINCRBY', K.worker .. worker, 'successful_job_count', 1)
    elseif s.kind == 'failed' then
      redis.call('HINCRBY', K.worker .. worker, 'failed_job_count', 1)
    end
  elseif s.kind == 'released' then
    redis.call('HSET', key, 'status', 'queued', 'flowzz_note', s.note)
    push(s.queue, s.id, home_lane(s.id, job[2]), true)
    wake(s.queue)
  elseif s.kind == 'parked' then
    redis.call('HSET', key, 'status', 'deferred', 'flowzz_note', s.note)
    redis.call('ZADD', K.parked .. s.queue, string.format('%.3f', now / 1000), s.id)
  else
    redis.call('HSET', key, 'status', 'scheduled', 'flowzz_attempts', s.made, 'flowzz_error', s.error,
      'flowzz_note', s.note)
    if s.kind == 'retrying' and job[6] then
      redis.call('HSET', key, 'retries_left', math.max((tonumber(job[6]) or 0) - 1, 0), 'number_of_retries', s.made)
    end
    redis.call('ZADD', K.scheduled .. s.queue, string.format('%.3f', (now + tonumber(s.delay)) / 1000), s.id)
    wake(s.queue)
  end
  if s.hold ~= '' then
    redis.call('ZADD', K.holds, 'GT', string.format('%.3f', now + tonumber(s.delay)), s.hold)
    redis.call('ZREMRANGEBYSCORE', K.holds, '-inf', now)
  end
  record(now, worker, s)
  note(s.kind, s.queue, s.id, s.attempt)
  return 1
end
