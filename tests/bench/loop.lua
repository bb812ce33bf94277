-- Turns of add, mask and compare, as many as the first argument says.
local n, sum, i = tonumber(arg[1]), 0, 0
while i < n do
  sum = (sum + i) & 65535
  if sum == 77777 then
    print("never")
  end
  i = i + 1
end
print(sum)
