-- Tell whether Redis still has what it had. Every worker and scheduler remembers the epoch of the data and counts its own
-- signs of life here; who finds another epoch, or fewer signs than were answered, knows that data was lost, and begins the
-- next epoch, so that a loss is told once.
-- KEYS: none.
-- ARGV: 1 who, 2 the epoch it knows ('' at first), 3 since when that is (Unix ms), 4 signs of life that were answered, 5 an
--       id for the next epoch.
-- Events: data_lost.
-- Returns: {epoch, how it began: 'first', 'empty' or 'older', since (Unix ms), newest sign of life in the copy (Unix ms; '' of none)}.
-- @include time
-- @include events
-- @include full

local WEEK = 604800
local who, known, known_since, answered = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
even_when_full(K.epoch)
local now = now_ms()
local id, how, since, as_of, seen = unpack(redis.call('HMGET', K.epoch, 'id', 'how', 'since_ms', 'as_of_ms', 'seen_ms'))
local begins
if not id then
  begins, seen = known == '' and 'first' or 'empty', ''
elseif known ~= '' then
  local is_older = id == known and (tonumber(redis.call('GET', K.mark .. who)) or 0) < answered
  if is_older or (id ~= known and (tonumber(since) or 0) < known_since) then
    begins = 'older'
  elseif id ~= known and how == 'first' then -- somebody who knew nothing came first
    begins, seen = 'empty', ''
  end
end
if begins then
  id, how, since, as_of = ARGV[5], begins, string.format('%.0f', now), seen or ''
  redis.call('HSET', K.epoch, 'id', id, 'how', how, 'since_ms', since, 'as_of_ms', as_of)
  if how ~= 'first' then note('data_lost', '', how, as_of) end
end
redis.call('HSET', K.epoch, 'seen_ms', string.format('%.0f', now))
redis.call('SET', K.mark .. who, answered + 1, 'EX', WEEK)
publish()
return {id, how, since, as_of or ''}
