-- Pause or resume a queue, a job type or a company.
-- KEYS: 1 where the answer is kept for a repeat of this call.
-- @once
-- ARGV: 1 'pause' or 'resume', 2 target ('queue:…', 'job:…' or 'company:…'), 3 reason, 4 until (Unix ms, or ''), 5 who.
-- Events: paused, resumed.
-- Returns: 1 when that changed something, else 0.
-- @include time
-- @include events
-- @include place
-- @include unblock

local action, target = ARGV[1], ARGV[2]
local changed
if action == 'pause' then
  local till = tonumber(ARGV[4])
  redis.call('HSET', K.paused, target, cjson.encode({ARGV[3], till or cjson.null, ARGV[5]}))
  note('paused', '', target, ARGV[3])
  changed = 1
else
  changed = redis.call('HDEL', K.paused, target)
  if changed == 1 then note('resumed', '', target) end
end
local kind, name = string.match(target, '^(%a+):(.*)$')
if kind == 'queue' then
  wake(name)
else
  unblock_where(function(block) return block == 'paused ' .. target end)
end
publish()
return changed
