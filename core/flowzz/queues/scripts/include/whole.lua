-- whole(text): a count or a moment (Unix ms) that a field holds; 0 for what is none, as schedules.py reads it.

local function whole(text)
  return text and string.match(text, '^%d+$') and #text < 15 and tonumber(text) or 0
end
