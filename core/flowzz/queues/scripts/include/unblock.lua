-- unblock_where(ends): lanes of all queues are ready again where ends(what blocks it) says so.

local function unblock_where(ends)
  for _, queue_key in ipairs(redis.call('SMEMBERS', K.queues)) do
    local queue = string.sub(queue_key, #K.queue + 1)
    local blocks = redis.call('HGETALL', K.blocks .. queue)
    for i = 1, #blocks, 2 do
      if ends(blocks[i + 1]) and redis.call('ZREM', K.blocked .. queue, blocks[i]) == 1 then
        redis.call('HDEL', K.blocks .. queue, blocks[i])
        ready(queue, blocks[i])
        wake(queue)
      end
    end
  end
end
