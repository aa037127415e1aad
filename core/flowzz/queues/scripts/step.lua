-- The heart: settle finished executions and claim the next jobs, in one round trip.
-- KEYS: none.
-- ARGV: 1 worker, 2 token of this step, 3 lease (ms), 4 jobs wanted, 5 keep completed, 6 keep failed,
--       7 number of queues, then the queues in the order to look at them,
--       then the number of settlements, and for each 8 values:
--         queue, job id, execution id, kind, attempt, started at (Unix s),
--         body (base64: JSON result of 'completed', zlib text of an error; or ''),
--         more (JSON with any of delay (ms), error (JSON text {type, message}), note, hold (key to hold for the delay); or '').
--       kind: completed, retrying, failed, postponed, released, parked, canceled.
-- Settling counts only while the execution holds its lease.
-- A repeat with the token of the worker's last step settles nothing and answers as then.
-- Events: completed, retrying, failed, postponed, released, parked, canceled, expired, active, waiting (promoted, or
--         released by a parent), delayed and canceled (by a parent), batch_finished,
--         late_commit_rejected, quarantined, duplicate (an id that was queued twice).
-- Returns: {verdicts, claims, more, next due (Unix ms or -1), now (Unix ms)};
--   verdicts: a digit a settlement: 1 settled, 0 refused (lease lost), 2 the job's hash was gone;
--   claims: flat, for the n-th, whose execution id is 'token-n': queue, id ('' when a repeat lost it), data, envelope;
--   more: flat, for each that is not plain: n, attempts made, stalled, checkpoint, RQ's own retries: 'left|intervals' of
--     a job that plain RQ enqueued, or ''.
-- @include time
-- @include events
-- @include bulk
-- @include plain
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
-- @include turns

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
if before and string.sub(before, 3, 2 + #token) == token then
  local answer = cjson.decode(before)
  if answer[1] == token then
    local claims = reclaim(answer[3], token)
    return {answer[2], claims.list, claims.more, '-1', tostring(now)}
  end
end

local freed = {}
local verdicts = settle_all({now = now, stamp = stamp, worker = worker, keep = keep, touched = {}, finished = {}, ended = {},
  freed = freed, seconds = string.format('%.6f', now / 1000), kept_till = string.format('%.3f', now / 1000 + YEAR)},
  at + 1, tonumber(ARGV[at]))
-- Its registration had expired, and counting its jobs made one that never would: it lives until the next heartbeat or ends.
if verdicts ~= '' and redis.call('TTL', K.worker .. worker) == -1 then
  redis.call('EXPIRE', K.worker .. worker, 60)
end

-- Suspended, paused, limited: who uses none of them pays one look for all.
local special = (want > 0 or verdicts ~= '') and redis.call('EXISTS', K.suspended, K.paused, K.limited) > 0
local limited = special and redis.call('EXISTS', K.limited) == 1
local claims, due = {n = 0, list = {}, more = {}}, -1
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
    elseif claims.n < want then
      local rule = limited and redis.call('HGET', K.limited, queue)
      local room, free_at = want - claims.n, -1
      if rule then room, free_at = queue_room(now, queue, rule, room) end
      local before = claims.n
      if room > 0 then
        sooner(claim({now = now, stamp = stamp, worker = worker, token = token, queue = queue, claims = claims,
          pauses = pauses, keep = keep.failed, bounded = room < want - before,
          ends = string.format('%.3f', (now + lease) / 1000)}, room))
      end
      sooner(free_at)
      if rule then count_starts(now, queue, rule, claims.n - before) end
    end
  end
end
if limited then offer_room(now, freed) end

if verdicts ~= '' or claims.n > 0 then
  local ids = {}
  for i = 1, claims.n do ids[2 * i - 1], ids[2 * i] = claims.list[4 * i - 3], claims.list[4 * i - 2] end
  redis.call('SET', K.step .. worker, cjson.encode({token, verdicts, ids}), 'EX', 600)
end
trim_own()
publish()
return {verdicts, claims.list, claims.more, string.format('%.3f', due), tostring(now)}
