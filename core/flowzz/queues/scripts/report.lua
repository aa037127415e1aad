-- What a running execution reports; counts only while it holds its lease.
-- KEYS: none.
-- ARGV: 1 queue, 2 job id, 3 execution id, 4 attempt, 5 progress (JSON or ''), 6 checkpoint (JSON or ''), 7 token of this report, then log lines.
-- A report with log lines is told from its repeat by its token.
-- Returns: 1 stored, 0 the lease is lost.
-- @include time
-- @include full

local id = ARGV[2]
if not redis.call('ZSCORE', K.wip .. ARGV[1], id .. ':' .. ARGV[3]) then
  return 0
end
local key = K.job .. id
even_when_full(key)
if ARGV[5] ~= '' then redis.call('HSET', key, 'flowzz_progress', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', key, 'flowzz_checkpoint', ARGV[6]) end
if #ARGV > 7 and redis.call('HGET', key, 'flowzz_reported') ~= ARGV[7] then
  redis.call('HSET', key, 'flowzz_reported', ARGV[7])
  local prefix = string.format('%d|%s|', now_ms(), ARGV[4])
  for i = 8, #ARGV do
    redis.call('RPUSH', K.log .. id, prefix .. ARGV[i])
  end
  redis.call('LTRIM', K.log .. id, -1000, -1)
end
return 1
