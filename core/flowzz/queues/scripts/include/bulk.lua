-- collect(into, key, …): remember values for one command on `key`. in_bulk(command, from): do it, a thousand values at a time.

local function collect(into, key, ...)
  local list = into[key]
  if not list then
    list = {}
    into[key] = list
  end
  for i = 1, select('#', ...) do list[#list + 1] = (select(i, ...)) end
end

local function in_bulk(command, from)
  for key, list in pairs(from) do
    for first = 1, #list, 1000 do
      redis.call(command, key, unpack(list, first, math.min(first + 999, #list)))
    end
  end
end
