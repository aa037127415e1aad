-- Limits of whole queues. K.limited holds what counts of a queue, 'n/period ms|n', either part may be missing: starts in any
-- window, and jobs at a time, which is the size of rq:wip: a stock worker's jobs and those of a lost worker count too.
-- queue_room(now, queue, rule, want): how many may start now, at most `want`, and when a used-up rate admits the next
-- (Unix ms, or -1). Nothing is taken out, so the order stays.
-- count_starts(now, queue, rule, n): n jobs were started.
-- offer_room(now, queues): places that were left free in these queues go to other workers, who may be idle.

local function queue_rule(rule)
  local n, period, most = string.match(rule, '^(%d*)/?(%d*)|(%d*)$')
  return tonumber(n), tonumber(period), tonumber(most)
end

local function queue_room(now, queue, rule, want)
  local n, period, most = queue_rule(rule)
  local free_at = -1
  if most then want = math.max(0, math.min(want, most - redis.call('ZCARD', K.wip .. queue))) end
  if n and want > 0 then
    want = math.min(want, n)
    -- The n-th start from the end makes place for one when it leaves the window, the one after it for a second, and so on.
    for _, moment in ipairs(redis.call('LRANGE', K.rate .. 'r:queue/' .. queue, -n, want - n - 1)) do
      if tonumber(moment) + period > now then
        want = want - 1
        if free_at < 0 then free_at = tonumber(moment) + period end
      end
    end
  end
  return want, free_at
end

local function count_starts(now, queue, rule, count)
  local n, period = queue_rule(rule)
  if not n or count == 0 then return end
  local key = K.rate .. 'r:queue/' .. queue
  for _ = 1, count do redis.call('RPUSH', key, string.format('%.3f', now)) end
  redis.call('LTRIM', key, -n, -1)
  redis.call('PEXPIRE', key, period)
end

local function offer_room(now, queues)
  for queue in pairs(queues) do
    local rule = redis.call('HGET', K.limited, queue)
    if rule and redis.call('EXISTS', K.rings .. queue) == 1 and queue_room(now, queue, rule, 1) > 0 then wake(queue) end
  end
end
