-- show_executions(worker, running, now, lease, ttl): RQ's executions of the worker are these: {job id, execution id, started
-- at (Unix s)} each. They live as long as the lease (ms), the list of them as long as the registration (s).

local function show_executions(worker, running, now, lease, ttl)
  local index = K.executions .. worker .. ':executions'
  local members, runs = {}, {}
  for i, run in ipairs(running) do
    members[i] = run[1] .. ':' .. run[2]
    runs[members[i]] = true
  end
  for _, member in ipairs(redis.call('SMEMBERS', index)) do
    if not runs[member] then redis.call('UNLINK', K.execution .. member) end
  end
  redis.call('DEL', index)
  for i, run in ipairs(running) do
    local key = K.execution .. members[i]
    redis.call('HSET', key, 'id', run[2], 'job_id', run[1], 'worker_name', worker, 'created_at', run[3],
      'last_heartbeat', string.format('%.6f', now / 1000))
    redis.call('PEXPIRE', key, lease)
    redis.call('SADD', index, members[i])
  end
  if #running > 0 then redis.call('EXPIRE', index, ttl) end
end
