-- Duplicates keys: 'u:…' unique until done and 'd:…' debounced stand in K.unique, 't:…' throttled in a key that expires.
-- A key belongs to the job whose field flowzz_unique names it and whose id it holds; whoever finds it otherwise takes it.

-- free_key(id, key): the job has ended; its key makes room, if it is still its own. A throttle lasts for its time.
local function free_key(id, key)
  if key and key ~= '' and redis.call('HGET', K.unique, key) == id then redis.call('HDEL', K.unique, key) end
end

-- undo_key(id, key): a person took the job back; as if it had never been enqueued.
local function undo_key(id, key)
  if not key then return end
  free_key(id, key)
  if redis.call('GET', K.throttle .. key) == id then redis.call('DEL', K.throttle .. key) end
end

-- retake_key(id, key): a job that had ended waits again; its key is its own again unless another job has it.
local function retake_key(id, key)
  if key and key ~= '' and string.sub(key, 1, 2) ~= 't:' then redis.call('HSETNX', K.unique, key, id) end
end

local NOT_DONE = {queued = true, scheduled = true, started = true, deferred = true}

-- standing(now, key): id of the job that stands for this key, or nil when none does (any more).
local function standing(now, key)
  if string.sub(key, 1, 2) == 't:' then return redis.call('GET', K.throttle .. key) or nil end
  local id = redis.call('HGET', K.unique, key)
  if not id then return nil end
  local job = redis.pcall('HMGET', K.job .. id, 'status', 'flowzz_unique', 'flowzz_expires', 'flowzz_execution')
  if job.err or job[2] ~= key or not NOT_DONE[job[1]] then return nil end
  if job[3] and tonumber(job[3]) <= now and job[1] ~= 'started' then return nil end
  if string.sub(key, 1, 2) == 'd:' and (job[1] ~= 'scheduled' or job[4]) then return nil end
  return id
end
