-- a[k]++ over two string keys in turn.
local n, a, i = tonumber(arg[1]), {}, 0
while i < n do
  if i & 1 == 1 then
    a["/usr/lib/locale"] = (a["/usr/lib/locale"] or 0) + 1
  else
    a["/etc/ld.so.cache"] = (a["/etc/ld.so.cache"] or 0) + 1
  end
  i = i + 1
end
print(a["/usr/lib/locale"] or 0)
