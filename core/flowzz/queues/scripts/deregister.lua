-- A worker says goodbye.
-- KEYS: none. ARGV: 1 worker, then the queues it served. Returns: 1.
-- @include time
-- @include executions

local key = K.worker .. ARGV[1]
redis.call('SREM', K.workers, key)
for i = 2, #ARGV do
  redis.call('SREM', K.workers_of .. ARGV[i], key)
end
if redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 'death', iso(now_ms()))
  redis.call('EXPIRE', key, 60)
end
redis.call('DEL', K.step .. ARGV[1])
show_executions(ARGV[1], {})
return 1
