-- Say how far something is limited: by a plugin's definition (of queues), or by an edit at run time, which lies over it.
-- KEYS: 1 where the answer is kept for a repeat of this call.
-- @once
-- ARGV: 1 action: 'define' (definitions of queues' limits), 'set' or 'revert' (edits), 2 who, 3 what the event is about;
--       then for each limit three values: key ('r:…' a rate, 'c:…' a concurrency; 'queue/<queue>' is a whole queue),
--       rule ('n/period ms', 'n', or 'none'), the definition's own rule ('none' when it has none).
-- An edit with the definition's own rule ends the edit. Lanes that the limit stopped look again.
-- Events: limit_edited.
-- Returns: how many rules it changed.
-- @include time
-- @include events
-- @include place
-- @include unblock
-- @include full

local action, who = ARGV[1], ARGV[2]
local now = string.format('%.0f', now_ms())
local changed = 0
even_when_full(K.limits)

local function define(key, rule)
  if (redis.call('HGET', K.limits, key) or 'none') == rule then return end
  changed = changed + 1
  if rule == 'none' then redis.call('HDEL', K.limits, key) else redis.call('HSET', K.limits, key, rule) end
end

local function edit(key, rule, own)
  local name = string.match(key, '^..[^:]*')
  local covered = name ~= key and redis.call('HEXISTS', K.limits, 'edit ' .. name) == 1
  if action == 'revert' or (rule == own and not covered) then
    changed = changed + redis.call('HDEL', K.limits, 'edit ' .. key)
  else
    redis.call('HSET', K.limits, 'edit ' .. key, table.concat({rule, now, own, who}, ' '))
    changed = changed + 1
  end
end

-- counts(queue): what steps go by, the two rules of a queue in one (see room.lua).
local function counts(queue)
  local parts = {}
  for i, kind in ipairs({'r:queue/', 'c:queue/'}) do
    local found = redis.call('HMGET', K.limits, kind .. queue, 'edit ' .. kind .. queue)
    parts[i] = string.match(found[2] or found[1] or '', '^%d[%d/]*') or ''
  end
  if parts[1] .. parts[2] == '' then
    redis.call('HDEL', K.limited, queue)
  else
    redis.call('HSET', K.limited, queue, parts[1] .. '|' .. parts[2])
  end
  wake(queue)
end

local function let_look(key)
  unblock_where(function(block)
    local stopped_by = string.match(block, '^%a+ (.*)$')
    local is_ours = stopped_by == key or string.sub(stopped_by, 1, #key + 1) == key .. ':'
    if is_ours and string.sub(block, 1, 12) == 'concurrency ' then
      redis.call('DEL', K.awaiting .. stopped_by)
      redis.call('SREM', K.awaited, stopped_by)
    end
    return is_ours
  end)
end

for at = 4, #ARGV, 3 do
  local key, rule = ARGV[at], ARGV[at + 1]
  local before = changed
  if action == 'define' then define(key, rule) else edit(key, rule, ARGV[at + 2]) end
  if changed > before then
    local period = string.match(rule, '/(%d+)$')
    if period then redis.call('PEXPIRE', K.rate .. key, period, 'GT') end
    local queue = string.match(key, '^.:queue/(.*)$')
    if queue then counts(queue) else let_look(key) end
  end
end
if action ~= 'define' and changed > 0 then note('limit_edited', '', ARGV[3], action .. ' by ' .. who) end
publish()
return changed
