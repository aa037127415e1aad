-- Put right what somebody else broke: keys of the wrong type are set aside (renamed, kept for 30 days), so are values that no
-- script can read; lanes are built anew from the list; a job that stands nowhere though its hash says so is put back once it
-- has been seen astray for a while.
-- KEYS: none.
-- ARGV: 1 'some' (the next page of keys) or 'all' (every key, then every index anew: some seconds for a million keys),
--       2 keys a page, 3 how long a job must have been astray (ms), 4 keep failed, 5 text of the failure (base64 of zlib),
--       6 max stalled of a job without envelope, 7 the families of keys.py: JSON [[prefix, ending, type, is it single]].
-- Events: set_aside, astray, stalled, failed; of batches and children waiting, delayed, canceled, batch_finished.
-- Returns: {{key set aside, type expected, type found} …, jobs put back}.
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include batches
-- @include flows
-- @include retries
-- @include enqueue
-- @include rescue
-- @include astray

local ASIDE_KEPT = 2592000
local INDEX = {K.lane, K.rings, K.ring, K.group, K.blocked, K.blocks, K.laned, K.awaiting, K.awaited}
local page, now = ARGV[2], now_ms()
local turn = {now = now, stamp = iso(now), grace = tonumber(ARGV[3]), keep = tonumber(ARGV[4]), text = ARGV[5],
  max_stalled = tonumber(ARGV[6]), lists = {}, started = {}}
local aside, back, index, found_queues = {}, 0, {}, {}
local is_index_broken = ARGV[1] == 'all'

local single, families = {}, {}
for _, family in ipairs(cjson.decode(ARGV[7])) do
  local prefix, ending, type, is_single = unpack(family)
  if is_single then
    single[prefix] = type
  else
    local head = string.match(prefix, '^[^:]*:[^:]*:')
    families[head] = families[head] or {}
    table.insert(families[head], {prefix = prefix, ending = ending, type = type})
  end
end

-- expected(key, found): the type that the key map gives a key, when it is not `found`; nil when all is well.
local function expected(key, found)
  if single[key] then return single[key] ~= found and single[key] or nil end
  local wanted
  for _, family in ipairs(families[string.match(key, '^[^:]*:[^:]*:')] or {}) do
    local ends = family.ending == '' or string.sub(key, -#family.ending) == family.ending
    if ends and #key > #family.prefix and string.sub(key, 1, #family.prefix) == family.prefix then
      if family.type == found then return nil end
      wanted = family.type
    end
  end
  return wanted
end

local function is_index(key)
  for _, prefix in ipairs(INDEX) do
    if string.sub(key, 1, #prefix) == prefix then return true end
  end
end

local function set_aside(key, wanted, found)
  redis.call('RENAME', key, K.aside .. key)
  redis.call('EXPIRE', K.aside .. key, ASIDE_KEPT)
  aside[#aside + 1] = {key, wanted, found}
  note('set_aside', '', key, 'expected a ' .. wanted .. ', found a ' .. found)
  if is_index(key) then is_index_broken = true end
end

local function is_json_table(value)
  local ok, decoded = pcall(cjson.decode, value)
  return ok and type(decoded) == 'table'
end

-- look(key): one key of a page. Jobs are put back while the lanes are sound, and only then.
local function look(key)
  local found = redis.call('TYPE', key).ok
  local wanted = expected(key, found)
  if wanted then
    set_aside(key, wanted, found)
  elseif is_index(key) then
    index[#index + 1] = key
  elseif string.sub(key, 1, #K.queue) == K.queue then
    found_queues[#found_queues + 1] = key
  elseif string.sub(key, 1, #K.step) == K.step then
    if not is_json_table(redis.call('GET', key)) then set_aside(key, 'JSON answer', 'text') end
  elseif found == 'hash' and not is_index_broken and string.sub(key, 1, #K.job) == K.job then
    if put_back(turn, string.sub(key, #K.job + 1)) then back = back + 1 end
  end
end

-- scan(cursor): one page from there; the next cursor.
local function scan(cursor)
  local answer = redis.call('SCAN', cursor, 'COUNT', page)
  for _, key in ipairs(answer[2]) do look(key) end
  return answer[1]
end

local function scan_all()
  local cursor = '0'
  repeat cursor = scan(cursor) until cursor == '0'
end

-- drop_unreadable_pauses(): no claim gets past a pause that cannot be read, so it goes, and is told of.
local function drop_unreadable_pauses()
  local found = redis.call('HGETALL', K.paused)
  for i = 1, #found, 2 do
    if not is_json_table(found[i + 1]) then
      redis.call('HDEL', K.paused, found[i])
      note('set_aside', '', K.paused, found[i] .. ' could not be read: ' .. string.sub(found[i + 1], 1, 200))
    end
  end
end

-- index_anew(): whatever the lanes were, they are again what the lists say.
local function index_anew()
  if #index > 0 then
    for i = 1, #index, 1000 do redis.call('UNLINK', unpack(index, i, math.min(i + 999, #index))) end
  end
  for _, key in ipairs(found_queues) do
    if string.sub(key, -13) ~= ':intermediate' then redis.call('SADD', K.queues, key) end
  end
  for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
    local queue = string.sub(queue_key, #K.queue + 1)
    for _, id in ipairs(redis.call('LRANGE', K.queue .. queue, 0, -1)) do
      local lane = redis.pcall('HGET', K.job .. id, 'flowzz_lane')
      enter(queue, id, type(lane) == 'string' and lane ~= '' and lane or FOREIGN, false)
    end
    wake(queue)
  end
end

-- has_lost_lanes(): some queue has waiting jobs, none of which anything leads to.
local function has_lost_lanes()
  for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
    local queue = string.sub(queue_key, #K.queue + 1)
    if redis.call('EXISTS', K.queue .. queue) == 1 and redis.call('EXISTS', K.rings .. queue, K.blocked .. queue) == 0
      and redis.call('HGET', K.laned, queue) == tostring(redis.call('LLEN', K.queue .. queue)) then return true end
  end
end

if redis.call('TYPE', K.mending).ok ~= 'hash' then redis.call('DEL', K.mending) end
if ARGV[1] == 'some' then
  redis.call('HSET', K.mending, 'cursor', scan(redis.call('HGET', K.mending, 'cursor') or '0'))
  is_index_broken = is_index_broken or has_lost_lanes()
end
if is_index_broken then
  index, found_queues = {}, {}
  scan_all()
  drop_unreadable_pauses()
  index_anew()
end
trim_own()
publish()
aside[#aside + 1] = back
return aside
