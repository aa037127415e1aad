-- Remember what a durable step of a running execution returned; counts only while it holds its lease.
-- KEYS: none.
-- ARGV: 1 queue, 2 job id, 3 execution id, 4 step, 5 result (JSON).
-- Returns: 1 stored (or stored before), 0 the lease is lost.
-- @include full

local id = ARGV[2]
if not redis.call('ZSCORE', K.wip .. ARGV[1], id .. ':' .. ARGV[3]) then
  return 0
end
even_when_full(K.job .. id)
redis.call('HSETNX', K.steps .. id, ARGV[4], ARGV[5])
redis.call('EXPIRE', K.steps .. id, 31536000)
return 1
