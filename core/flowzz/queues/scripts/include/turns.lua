-- Whose turn it is: companies in the ring of a priority, their lanes inside them (see place.lua).
-- claim(turn, n): take up to n waiting jobs of a queue under a lease, in turn, appended to turn.claims; returns when the next
-- blocked lane may run (Unix ms) or -1.

-- off_list(queue, ids): these ids have left their lanes, and now leave the list; how often each stood in it. Companies take
-- turns as their jobs came, so mostly they are its head, and go in one cut.
local function off_list(queue, ids)
  if #ids == 1 then return {[ids[1]] = redis.call('LREM', K.queue .. queue, 1, ids[1])} end
  local list, open, stood, others = K.queue .. queue, {}, {}, {}
  for _, id in ipairs(ids) do open[id], stood[id] = (open[id] or 0) + 1, 0 end
  local heads = redis.call('LRANGE', list, 0, #ids - 1)
  for i = #heads, 1, -1 do
    if stood[heads[i]] and stood[heads[i]] < open[heads[i]] then
      stood[heads[i]] = stood[heads[i]] + 1
    else
      others[#others + 1] = heads[i]
    end
  end
  if 2 * #others > #heads then
    for id in pairs(stood) do stood[id] = 0 end
  elseif #heads > 0 then
    redis.call('LTRIM', list, #heads, -1)
    if #others > 0 then redis.call('LPUSH', list, unpack(others)) end
  end
  for id, times in pairs(open) do
    if stood[id] < times then stood[id] = stood[id] + redis.call('LREM', list, times - stood[id], id) end
  end
  return stood
end

-- start_all(turn, ids, lanes, keys): those that plain RQ has not taken meanwhile start; their lanes have these limits.
local function start_all(turn, ids, lanes, keys)
  if #ids == 0 then return end
  local stood = off_list(turn.queue, ids)
  for i, id in ipairs(ids) do
    if stood[id] > 0 then
      stood[id] = stood[id] - 1
      local member = start(turn, id, lanes[i], keys)
      if member and keys ~= '' then admit(turn, keys, member) end
    end
  end
end

-- block(turn, lane, till, reason): a lane whose head may not run now leaves the turns.
local function block(turn, lane, till, reason)
  redis.call('ZADD', K.blocked .. turn.queue, till, lane)
  redis.call('HSET', K.blocks .. turn.queue, lane, reason)
  turn.blocked = turn.blocked + 1
  if till ~= 'inf' and (turn.next_unblock < 0 or till < turn.next_unblock) then turn.next_unblock = till end
end

-- give(turn, group, company, share): the company's next lane gives jobs: ids, their lane, its limits, and whether the company
-- has more. Up to `share` when it is its only lane and has no limits, else one, and then the company's next lane is next.
local function give(turn, group, company, share)
  local lanes = redis.call('LRANGE', group, 0, 1)
  local lane, alone = lanes[1], not lanes[2]
  if not lane then return {}, '', '', false end
  local _, _, job, keys = lane_parts(lane)
  if turn.pauses or keys ~= '' then
    local till, reason = hindrance(turn.now, turn.queue, lane, turn.pauses, company, job, keys)
    if till then
      redis.call('LPOP', group)
      block(turn, lane, till, reason)
      return {}, lane, keys, not alone
    end
  end
  local key = K.lane .. turn.queue .. '|' .. lane
  if not alone or keys ~= '' then share = 1 end
  local ids = redis.call('LPOP', key, share) or {}
  local is_empty = #ids < share or redis.call('EXISTS', key) == 0
  if is_empty then
    redis.call('LPOP', group)
  elseif not alone then
    redis.call('LMOVE', group, group, 'LEFT', 'RIGHT')
  end
  return ids, lane, keys, not (is_empty and alone)
end

-- go_round(turn, priority, n): as many companies as jobs are wanted take their turn, each for one job; when that is all of
-- them, each for its share of n. What they give starts in rounds. Jobs under limits start at once: who comes next counts them.
local function go_round(turn, priority, n)
  local queue = turn.queue
  local place = queue .. '|' .. priority
  local companies = redis.call('LPOP', K.ring .. place, n) or {}
  local share = #companies < n and #companies > 0 and math.floor(n / #companies) or 1
  local given, staying, left = {}, {}, 0
  for _, company in ipairs(companies) do
    local ids, lane, keys, stays = give(turn, K.group .. place .. '|' .. company, company, share)
    if stays then staying[#staying + 1] = company end
    left = left + #ids
    if keys ~= '' then
      start_all(turn, ids, {lane}, keys)
    else
      given[#given + 1] = {ids, lane}
    end
  end
  if left > 0 then redis.call('HINCRBY', K.laned, queue, -left) end
  if #staying > 0 then
    redis.call('RPUSH', K.ring .. place, unpack(staying))
  elseif redis.call('EXISTS', K.ring .. place) == 0 then
    redis.call('ZREM', K.rings .. queue, priority)
  end
  local ids, lanes = {}, {}
  for round = 1, share do
    for _, one in ipairs(given) do
      if one[1][round] then ids[#ids + 1], lanes[#lanes + 1] = one[1][round], one[2] end
    end
  end
  start_all(turn, ids, lanes, '')
end

local MOST_BLOCKED, MOST_EXPIRED, MOST_A_ROUND = 1000, 1000, 1000

local function claim(turn, n)
  local queue = turn.queue
  adopt(queue)
  turn.next_unblock = unblock(turn.now, queue)
  turn.leases, turn.blocked, turn.expired = {}, 0, 0
  local before = turn.claims.n
  while turn.claims.n - before < n and turn.blocked < MOST_BLOCKED and turn.expired < MOST_EXPIRED do
    local priority = redis.call('ZRANGE', K.rings .. queue, 0, 0)[1]
    if not priority then break end
    go_round(turn, priority, math.min(n - (turn.claims.n - before), MOST_A_ROUND))
  end
  in_bulk('ZADD', {[K.wip .. queue] = turn.leases})
  local stopped = turn.claims.n - before >= n or turn.expired >= MOST_EXPIRED
  if stopped and not turn.bounded and redis.call('EXISTS', K.rings .. queue) == 1 then wake(queue) end
  return turn.next_unblock
end
