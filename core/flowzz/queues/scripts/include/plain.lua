-- A job is plain when its hash has the fields that every job of ours has, and no other. Most jobs are, and their way
-- through the engine is short: nothing else has to be read. Whoever gives a job more (an expiry, a checkpoint, a limit,
-- a duplicates key, a child, another attempt, anything of RQ's) adds a field, and so takes it off the short way.

local PLAIN_WAITING = 10 -- what enqueue.lua stores
local PLAIN_STARTED = 13 -- and what a claim adds: started_at, worker_name, flowzz_execution
