-- rescue(now, stamp, queue, member, keep, text, max): move one job whose lease has ended.

local function max_stalled(envelope, default)
  if not envelope then return default end
  local ok, document = pcall(cjson.decode, envelope)
  return ok and type(document) == 'table' and tonumber(document.max_stalled) or default
end

local function rescue(now, stamp, queue, member, keep, text, default)
  redis.call('ZREM', K.wip .. queue, member)
  local id, execution = string.match(member, '^(.*):([^:]*)$')
  if not id then id, execution = member, '' end
  local key = K.job .. id
  local job = redis.pcall('HMGET', key, 'status', 'flowzz', 'flowzz_stalled', 'worker_name', 'flowzz_execution',
    'flowzz_attempts', 'flowzz_lane', 'flowzz_unique', 'flowzz_children',
    'flowzz_batch', 'flowzz_keep')
  if not job.err then release(queue, job[7], member) end
  local another = job[5] and job[5] ~= execution and redis.call('ZSCORE', K.wip .. queue, id .. ':' .. job[5])
  if job.err or job[1] ~= 'started' or another then
    return {queue, id, execution, 'gone', not job.err and job[2] or ''}
  end
  local stalled = (tonumber(job[3]) or 0) + 1
  local attempt = tostring((tonumber(job[6]) or 0) + 1)
  local failed = stalled > max_stalled(job[2], default)
  local error = cjson.encode({type = 'Stalled', message = 'its worker ' .. (job[4] or '?') .. ' was lost'})
  local entry = {'type', failed and 2 or 4, 'worker_name', job[4] or '', 'execution_id', execution,
    'execution_ended_at', string.format('%.6f', now / 1000), 'outcome', failed and 'failed' or 'stalled',
    'attempt', attempt, 'error', error}
  if failed then
    entry[#entry + 1] = 'exc_string'
    entry[#entry + 1] = text
  end
  redis.call('XADD', K.results .. id, 'MAXLEN', '100', '*', unpack(entry))
  if failed then
    redis.call('HSET', key, 'status', 'failed', 'ended_at', stamp, 'flowzz_stalled', stalled, 'flowzz_error', error)
    shelve(now, queue, 'failed', id, job[11])
    trim(K.failed .. queue, keep)
    free_key(id, job[8])
    if job[9] then parent_ended(now, stamp, id, 'failed') end
    if job[10] then member_is(now, stamp, job[10], id, 'failed') end
    note('failed', queue, id, 'stalled')
    return {queue, id, execution, 'failed', job[2] or ''}
  end
  redis.call('HSET', key, 'status', 'queued', 'flowzz_stalled', stalled)
  push(queue, id, home_lane(id, job[7]), true)
  wake(queue)
  note('stalled', queue, id, execution)
  return {queue, id, execution, 'waiting', job[2] or ''}
end
