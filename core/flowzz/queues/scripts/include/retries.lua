-- RQ's own counters of retries: what RQ's tools show, and what a stock worker or RQ's clean-up of lost leases goes by.

local function retries_at_first(envelope)
  local attempts = envelope and tonumber(string.match(envelope, '"attempts":(%d+)'))
  return attempts and math.max(attempts - 1, 0)
end

-- restore_retries(key, envelope): the job has all its attempts again. A job of plain RQ keeps what RQ left it.
local function restore_retries(key, envelope)
  local retries = retries_at_first(envelope)
  if retries then redis.call('HSET', key, 'retries_left', retries, 'number_of_retries', '0') end
end
