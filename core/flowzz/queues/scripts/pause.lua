-- Pause or resume a queue, a job type or a company.
-- KEYS: none.
-- ARGV: 1 'pause' or 'resume', 2 target ('queue:…', 'job:…' or 'company:…'), 3 reason, 4 until (Unix ms, or '').
-- Events: paused, resumed.
-- Returns: 1 when that changed something, else 0.
-- @include time
-- @include events
-- @include place

local action, target = ARGV[1], ARGV[2]
local changed
if action == 'pause' then
  local till = tonumber(ARGV[4])
  redis.call('HSET', K.paused, target, cjson.encode({ARGV[3], till or cjson.null}))
  note('paused', '', target, ARGV[3])
  changed = 1
else
  changed = redis.call('HDEL', K.paused, target)
  note('resumed', '', target)
end
local kind, name = string.match(target, '^(%a+):(.*)$')
for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
  local queue = string.sub(queue_key, #K.queue + 1)
  if kind == 'queue' then
    if queue == name then wake(queue) end
  else
    local blocks = redis.call('HGETALL', K.blocks .. queue)
    for i = 1, #blocks, 2 do
      if blocks[i + 1] == 'paused ' .. target and redis.call('ZREM', K.blocked .. queue, blocks[i]) == 1 then
        redis.call('HDEL', K.blocks .. queue, blocks[i])
        ready(queue, blocks[i])
        wake(queue)
      end
    end
  end
end
publish()
return changed
