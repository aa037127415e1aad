-- Change the run-time edit of one schedule: the layer over its plugin's definition.
-- KEYS: 1 where the answer is kept for a repeat of this call.
-- @once
-- ARGV: 1 schedule, 2 action: 'pause', 'resume', 'set' or 'revert', 3 who, 4 now (Unix ms, by the clock that ticks go by),
--       5 reason (of 'pause'), 6 cron and 7 time zone (of 'set'; '' leaves it), 8 and 9 the definition's own.
-- What passes while it is paused, and what another line would have ticked before, is not caught up: the edit begins now.
-- Events: schedule_edited.
-- Returns: 1 when that changed something, else 0.
-- @include events
-- @include whole

local schedule, action, who, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key, edit = K.schedule .. schedule, K.edit .. schedule
local PAUSE = {'pause_reason', 'paused_by', 'paused_at_ms'}
local LINE = {'cron', 'timezone', 'set_by', 'set_at_ms', 'was_cron', 'was_timezone'}
local changed = 1

if action == 'pause' then
  redis.call('HSET', edit, 'pause_reason', ARGV[5], 'paused_by', who, 'paused_at_ms', now)
elseif action == 'resume' then
  changed = redis.call('HDEL', edit, unpack(PAUSE))
elseif action == 'revert' then
  changed = redis.call('DEL', edit)
else
  for i, field in ipairs({'cron', 'timezone'}) do
    local wanted, own = ARGV[5 + i], ARGV[7 + i]
    if wanted == own then
      redis.call('HDEL', edit, field)
    elseif wanted ~= '' then
      redis.call('HSET', edit, field, wanted)
    end
  end
  if redis.call('HEXISTS', edit, 'cron') + redis.call('HEXISTS', edit, 'timezone') > 0 then
    redis.call('HSET', edit, 'set_by', who, 'set_at_ms', now, 'was_cron', ARGV[8], 'was_timezone', ARGV[9])
  else
    redis.call('HDEL', edit, unpack(LINE))
  end
end
if changed == 0 then return 0 end
local last, revision = unpack(redis.call('HMGET', key, 'last_tick_ms', 'revision'))
redis.call('HSET', key, 'revision', string.format('%.0f', whole(revision) + 1))
if action ~= 'pause' and whole(last) < tonumber(now) then
  redis.call('HSET', key, 'last_tick_ms', now)
end
note('schedule_edited', '', schedule, action .. ' by ' .. who)
publish()
return 1
