-- Replay or remove dead jobs: those in the failed registry of their queue.
-- KEYS: 1 where the answer is kept for a repeat of this call.
-- @once
-- ARGV: 1 action (replay, remove), 2 note; then for each job: id, when it died (its ended_at as it was seen).
-- A job counts only while it is dead since that very moment: the same call again, or one from an old list, changes nothing
-- even when the job was replayed and died again meanwhile.
-- Events: waiting, removed; of its children waiting, delayed, canceled; batch_finished.
-- Returns: for each job 1 moved, 0 not dead any more (or dead anew).
-- @include time
-- @include events
-- @include place
-- @include duplicates
-- @include batches
-- @include flows
-- @include retries
-- @include enqueue
-- @include revive

local now = now_ms()
local answers = {}
for at = 3, #ARGV, 2 do
  local id, died = ARGV[at], ARGV[at + 1]
  local job = redis.pcall('HMGET', K.job .. id, 'status', 'origin', 'flowzz_lane', 'ended_at', 'flowzz_children',
    'flowzz_unique')
  local moved = 0
  if not job.err and job[1] == 'failed' and job[2] and (job[4] or '') == died
    and redis.call('ZREM', K.failed .. job[2], id) == 1 then
    moved = 1
    if ARGV[1] == 'replay' then
      redis.call('HINCRBY', K.job .. id, 'flowzz_replays', 1)
      revive(now, id, job[2], job[3], ARGV[2])
      note('waiting', job[2], id, 'replay')
    else
      undo_key(id, job[6])
      if job[5] then parent_ended(now, iso(now), id, 'removed') end
      forget(id)
      note('removed', job[2], id)
    end
  end
  answers[#answers + 1] = moved
end
publish()
return answers
