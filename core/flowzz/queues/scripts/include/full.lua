-- even_when_full(key): go on although Redis is out of memory, for what running jobs need; key is a hash.
-- Redis refuses a script's first write then, unless it is one that takes no memory; once one is made, the rest may follow.

local function even_when_full(key)
  redis.call('HDEL', key, '-')
end
