# What the guests' cases share. Sourced by each.

fail() {
	echo "FAIL: $*" >&2
	exit 90
}

# await FILE TEXT: until the file holds the text, ten seconds at most
await() {
	tries=0
	until grep -q "$2" "$1" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -le 200 ] || fail "$1 never held '$2': $(cat "$1")"
		usleep 50000
	done
}

# finished PID: until it is gone, ten seconds at most
finished() {
	tries=0
	while kill -0 $1 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -le 200 ] || fail "process $1 does not end"
		usleep 50000
	done
}

# idle: nobody holds the module, within a second
idle() {
	tries=0
	until [ "$(cat /sys/module/stpvm/refcnt)" = 0 ]; do
		tries=$((tries + 1))
		[ $tries -le 20 ] || fail "the module is still in use: $(cat /sys/module/stpvm/refcnt)"
		usleep 50000
	done
}

# reload: unloads the module, nothing may hold it back, and loads it again
reload() {
	rmmod stpvm || fail "rmmod"
	insmod /stpvm.ko || fail "insmod"
}
