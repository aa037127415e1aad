-- note(event, queue, id, detail): remember a transition. publish(): write all of them as one stream entry.
-- An event is 'name|queue|job id|detail'; events of one entry are separated by line feeds.

local events = {}

local function note(event, queue, id, detail)
  events[#events + 1] = event .. '|' .. queue .. '|' .. id .. '|' .. (detail or '')
end

local function publish()
  if #events > 0 then
    redis.call('XADD', K.events, 'MAXLEN', '~', '10000', '*', 'events', table.concat(events, '\n'))
  end
end
