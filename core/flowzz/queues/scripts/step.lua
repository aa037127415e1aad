-- The heart: settle finished executions and claim the next jobs, in one round trip.
-- KEYS: none.
-- ARGV: 1 worker, 2 token of this step, 3 lease (ms), 4 jobs wanted, 5 keep completed, 6 keep failed,
--       7 number of queues, then the queues in the order to look at them,
--       then the number of settlements, and for each 12 values:
--         queue, job id, execution id, kind, attempts made, attempt, started at (Unix s), delay (ms),
--         body (base64: JSON result of 'completed', zlib text of an error; or ''), error (JSON {type, message} or ''),
--         note, key to hold for the delay (or '').
--       kind: completed, retrying, failed, postponed, released, parked, canceled.
-- Settling counts only while the execution holds its lease (its member is in rq:wip).
-- A repeat with the token of the worker's last step settles nothing and answers as then.
-- Events: completed, retrying, failed, postponed, released, parked, canceled, expired, active, waiting (promoted, or
--         released by a parent), delayed and canceled (by a parent), batch_finished,
--         late_commit_rejected, quarantined, duplicate (an id that was queued twice).
-- Returns: {verdicts, claims, next due (Unix ms or -1), now (Unix ms)};
--   verdict: 1 settled, 0 refused (lease lost), 2 the job's hash was gone;
--   claim: {queue, id, execution id, data, envelope, attempts made, stalled, checkpoint, timeout, started at (Unix s),
--     RQ's own retries: 'left|intervals' of a job that plain RQ enqueued, or ''}.
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include batches
-- @include flows
-- @include expire
-- @include settle
-- @include retries
-- @include enqueue
-- @include adopt
-- @include room
-- @include claim

local worker, token = ARGV[1], ARGV[2]
local lease, want = tonumber(ARGV[3]), tonumber(ARGV[4])
local keep = {finished = tonumber(ARGV[5]), failed = tonumber(ARGV[6])}
local now = now_ms()
local stamp = iso(now)

local queues = {}
local at = 8
for _ = 1, tonumber(ARGV[7]) do
  queues[#queues + 1] = ARGV[at]
  at = at + 1
end

local before = redis.call('GET', K.step .. worker)
if before then
  local answer = cjson.decode(before)
  if answer.token == token then
    return {answer.verdicts, reclaim(answer.claims), '-1', tostring(now)}
  end
end

local verdicts = {}
local touched, freed = {}, {}
for i = 1, tonumber(ARGV[at]) do
  local s = at + 1 + (i - 1) * 12
  freed[ARGV[s]] = true
  verdicts[i] = settle(now, stamp, worker, touched, {
    queue = ARGV[s], id = ARGV[s + 1], execution = ARGV[s + 2], kind = ARGV[s + 3], made = ARGV[s + 4],
    attempt = ARGV[s + 5], started = ARGV[s + 6], delay = ARGV[s + 7], body = ARGV[s + 8], error = ARGV[s + 9],
    note = ARGV[s + 10], hold = ARGV[s + 11]})
end
for registry, kind in pairs(touched) do
  trim(registry, keep[kind])
end
-- Its registration had expired, and counting its jobs made one that never would: it lives until the next heartbeat or ends.
if #verdicts > 0 and redis.call('TTL', K.worker .. worker) == -1 then
  redis.call('EXPIRE', K.worker .. worker, 60)
end

-- Suspended, paused, limited: who uses none of them pays one look for all.
local special = (want > 0 or #verdicts > 0) and redis.call('EXISTS', K.suspended, K.paused, K.limited) > 0
local limited = special and redis.call('EXISTS', K.limited) == 1
local claims, due = {}, -1
local function sooner(moment)
  if moment >= 0 and (due < 0 or moment < due) then due = moment end
end
if want > 0 and not (special and redis.call('EXISTS', K.suspended) == 1) then
  local pauses = special and redis.call('EXISTS', K.paused) == 1
  for _, queue in ipairs(queues) do
    sooner(promote(now, stamp, queue, keep.failed))
    local pause = pauses and redis.call('HGET', K.paused, 'queue:' .. queue)
    local till = pause and cjson.decode(pause)[2]
    if pause and not (type(till) == 'number' and till <= now) then
      if type(till) == 'number' then sooner(till) end
    elseif #claims < want then
      local rule = limited and redis.call('HGET', K.limited, queue)
      local room, free_at = want - #claims, -1
      if rule then room, free_at = queue_room(now, queue, rule, room) end
      local before = #claims
      if room > 0 then
        sooner(claim({now = now, stamp = stamp, worker = worker, token = token, queue = queue, claims = claims,
          pauses = pauses, keep = keep.failed, bounded = room < want - before,
          ends = string.format('%.3f', (now + lease) / 1000)}, room))
      end
      sooner(free_at)
      if rule then count_starts(now, queue, rule, #claims - before) end
    end
  end
end
if limited then offer_room(now, freed) end

local remembered = {}
for i, c in ipairs(claims) do remembered[i] = {c[1], c[2], c[3]} end
if #verdicts > 0 or #claims > 0 then
  redis.call('SET', K.step .. worker, cjson.encode({token = token, verdicts = verdicts, claims = remembered}), 'EX', 600)
end
trim_own()
publish()
return {verdicts, claims, string.format('%.3f', due), tostring(now)}
