-- note(event, queue, subject, detail): remember a transition. publish(): write all of them as one stream entry.
-- An event is 'name|queue|subject|detail'; events of one entry are separated by line feeds (see events.py).

local events = {}

local ESCAPED = {['%'] = '%25', ['|'] = '%7C', ['\n'] = '%0A'}

-- Plain searches: a pattern that must look at every character of an id costs more than storing the event.
local function event_part(text)
  if string.find(text, '|', 1, true) or string.find(text, '%', 1, true) or string.find(text, '\n', 1, true) then
    return (string.gsub(text, '[%%|\n]', ESCAPED))
  end
  return text
end

local function note(event, queue, subject, detail)
  if detail and string.find(detail, '\n', 1, true) then detail = string.gsub(detail, '\n', ' ') end
  events[#events + 1] = event .. '|' .. event_part(queue) .. '|' .. event_part(subject) .. '|' .. (detail or '')
end

local function publish()
  if #events > 0 then
    redis.call('XADD', K.events, 'MAXLEN', '~', '10000', '*', 'events', table.concat(events, '\n'))
  end
end
