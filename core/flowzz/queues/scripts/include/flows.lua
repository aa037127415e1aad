-- Dependencies, in RQ's own keys: a child stands in rq:deferred:<queue> and in the dependents of every parent it waits for;
-- its dependencies are the parents it still waits for. Both sets shrink as parents end.
-- A parent knows that it has children by its field flowzz_children, so a job without any costs nothing.

local MOST_CHILDREN = 1000

local function dependents(id) return K.dependents .. id .. ':dependents' end
local function dependencies(id) return K.dependencies .. id .. ':dependencies' end

local ENDED_BADLY = {failed = 'failed', stopped = 'was stopped', canceled = 'was canceled', removed = 'was removed'}

-- verdict(policy, status): what a parent in this status means to its child: 'done', 'doomed' or 'wait'.
local function verdict(policy, status)
  if status == 'finished' then return 'done' end
  if not ENDED_BADLY[status] then return 'wait' end
  if policy == 'run' then return 'done' end
  if policy == 'wait' and status ~= 'removed' then return 'wait' end
  return 'doomed'
end

-- drop_parents(id): the child waits for nobody any more.
local function drop_parents(id)
  for _, parent in ipairs(redis.call('SMEMBERS', dependencies(id))) do redis.call('SREM', dependents(parent), id) end
  redis.call('UNLINK', dependencies(id))
end

local function cancel_child(now, stamp, queue, id, parent, status)
  redis.call('HSET', K.job .. id, 'status', 'canceled', 'ended_at', stamp,
    'flowzz_note', 'its parent ' .. parent .. ' ' .. ENDED_BADLY[status])
  local job = redis.call('HMGET', K.job .. id, 'flowzz_unique', 'flowzz_batch', 'flowzz_keep')
  shelve(now, queue, 'canceled', id, job[3])
  free_key(id, job[1])
  note('canceled', queue, id, 'parent ' .. parent)
  if job[2] then member_is(now, stamp, job[2], id, 'canceled') end
end

local function release_child(now, stamp, queue, id, lane, due)
  if due and due ~= '' and tonumber(due) > now then
    redis.call('HSET', K.job .. id, 'status', 'scheduled')
    redis.call('ZADD', K.scheduled .. queue, string.format('%.3f', tonumber(due) / 1000), id)
    note('delayed', queue, id)
  else
    redis.call('HSET', K.job .. id, 'status', 'queued', 'enqueued_at', stamp)
    push(queue, id, home_lane(id, lane), false)
    note('waiting', queue, id, 'its parents ended')
  end
  wake(queue)
end

-- tell_child(now, stamp, id, parent, status): one parent of a deferred job ended; true when that canceled the child.
local function tell_child(now, stamp, id, parent, status)
  local job = redis.pcall('HMGET', K.job .. id, 'status', 'origin', 'flowzz_policy', 'flowzz_lane', 'flowzz_due',
    'allow_dependency_failures', 'flowzz')
  local queue = not job.err and job[2]
  if not queue or job[1] ~= 'deferred' or not redis.call('ZSCORE', K.deferred .. queue, id) then
    redis.call('SREM', dependents(parent), id)
    return false
  end
  -- A child that plain RQ put waits for a failed parent, as there; one that is gone, RQ does not count.
  local policy = job[3] or ((job[6] == '1' or status == 'removed') and 'run') or 'wait'
  local means = verdict(policy, status)
  if means == 'done' then
    redis.call('SREM', dependents(parent), id)
    redis.call('SREM', dependencies(id), parent)
    if redis.call('EXISTS', dependencies(id)) == 0 then
      redis.call('ZREM', K.deferred .. queue, id)
      release_child(now, stamp, queue, id, job[4], job[5])
    end
  elseif means == 'doomed' then
    drop_parents(id)
    redis.call('ZREM', K.deferred .. queue, id)
    cancel_child(now, stamp, queue, id, parent, status)
    return true
  end
  return false
end

-- parent_ended(now, stamp, id, status): tell the children, and theirs, up to a thousand; the sweep finds the rest.
local function parent_ended(now, stamp, id, status)
  local ended, at, told = {{id, status}}, 1, 0
  while ended[at] and told < MOST_CHILDREN do
    local parent = ended[at]
    for _, child in ipairs(redis.call('SRANDMEMBER', dependents(parent[1]), MOST_CHILDREN)) do
      told = told + 1
      if tell_child(now, stamp, child, parent[1], parent[2]) then ended[#ended + 1] = {child, 'canceled'} end
    end
    at = at + 1
  end
end

-- tend_children(now, stamp, queue): look at some deferred jobs, so that none is stranded by a parent that somebody else
-- (a stock worker, RQ's own deletes, a trim) ended or removed. Sweeps go on where the last one stopped.
local function tend_children(now, stamp, queue)
  local registry = K.deferred .. queue
  if redis.call('EXISTS', registry) == 0 then return end
  local cursor = redis.call('HGET', K.tending, queue) or '0'
  local found = redis.pcall('ZSCAN', registry, cursor, 'COUNT', 200)
  if found.err then return end
  for i = 1, #found[2], 2 do
    local id = found[2][i]
    local job = redis.pcall('HMGET', K.job .. id, 'status', 'flowzz_lane', 'flowzz_due')
    if job.err or job[1] ~= 'deferred' then
      redis.call('ZREM', registry, id)
    else
      local parents = redis.call('SMEMBERS', dependencies(id))
      if #parents == 0 then
        redis.call('ZREM', registry, id)
        release_child(now, stamp, queue, id, job[2], job[3])
      end
      for _, parent in ipairs(parents) do
        local status = redis.pcall('HGET', K.job .. parent, 'status')
        if type(status) == 'table' or not status then status = 'removed' end
        if (status == 'finished' or ENDED_BADLY[status]) and tell_child(now, stamp, id, parent, status) then
          parent_ended(now, stamp, id, 'canceled')
          break
        end
      end
    end
  end
  if found[1] == '0' then redis.call('HDEL', K.tending, queue) else redis.call('HSET', K.tending, queue, found[1]) end
end

-- unknown_parents(at, known): true when a new job at ARGV[at] names a parent that is neither stored nor `known`.
local function unknown_parents(at, known)
  if ARGV[at + 9] == '' or redis.call('EXISTS', K.job .. ARGV[at]) == 1 then return false end
  for _, parent in ipairs(cjson.decode(ARGV[at + 9]).parents or {}) do
    if not known[parent] and redis.call('EXISTS', K.job .. parent) == 0 then return true end
  end
  return false
end

-- defer(now, stamp, queue, id, extra, due): make a stored job wait for its parents. False when they all are done already.
local function defer(now, stamp, queue, id, extra, due)
  local key = K.job .. id
  local pending = {}
  redis.call('HSET', key, 'dependency_id', extra.parents[1], 'dependency_ids', cjson.encode(extra.parents),
    'flowzz_policy', extra.policy, 'allow_dependency_failures', extra.policy == 'run' and '1' or '0')
  for _, parent in ipairs(extra.parents) do
    local status = redis.pcall('HGET', K.job .. parent, 'status')
    if type(status) == 'table' or not status then status = 'removed' end
    local means = verdict(extra.policy, status)
    if means == 'doomed' then
      cancel_child(now, stamp, queue, id, parent, status)
      return true
    elseif means == 'wait' then
      pending[#pending + 1] = parent
    end
  end
  if #pending == 0 then return false end
  for _, parent in ipairs(pending) do
    redis.call('SADD', dependents(parent), id)
    redis.call('HSET', K.job .. parent, 'flowzz_children', '1')
  end
  redis.call('SADD', dependencies(id), unpack(pending))
  redis.call('HSET', key, 'status', 'deferred', 'enqueued_at', '', 'flowzz_due', due and string.format('%.3f', due) or '')
  redis.call('ZADD', K.deferred .. queue, string.format('%.3f', now / 1000), id)
  note('deferred', queue, id)
  return true
end
