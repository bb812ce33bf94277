-- a[k]++ over 1024 integer keys.
local n, a, i = tonumber(arg[1]), {}, 0
while i < n do
  local k = i & 1023
  a[k] = (a[k] or 0) + 1
  i = i + 1
end
print(a[5] or 0)
