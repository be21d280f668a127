#!/bin/sh
# Builds small programs around other projects' own decoders, each a folder here and a module of Go, once,
# into a folder outside of the tree.
#
#   build.sh NAME...         builds what is missing; SECONDS_AT_MOST=N ends it, the next run goes on
#   build.sh --where NAME    prints the path of the program
#   build.sh --missing NAME  prints in plain words why it is not there, nothing if it is
#
# Exit 0: all is there. 3: it cannot be had here and now; a line says why.
set -u
cd "$(dirname "$0")" || exit 1
GO_OLDEST=121 # from here on, Go fetches the version that go.mod asks for

# Of this source alone.
path() {
	echo "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/slotgate/$1-$(
		cat "$1/go.mod" "$1/main.go" | cksum | cut -d' ' -f1)-$(uname -m)"
}

cannot() {
	echo "$1 is not built: $2" >&2
	exit 3
}

build() {
	[ ! -x "$(path "$1")" ] || return 0
	command -v go >/dev/null 2>&1 ||
		cannot "$1" "there is no Go on this machine; install Go 1.21 or newer (https://go.dev/dl)"
	number=$(go env GOVERSION | sed 's/^go\([0-9]*\)\.\([0-9]*\).*/\1\2/')
	[ "$number" -ge "$GO_OLDEST" ] ||
		cannot "$1" "$(go env GOVERSION) is too old; install Go 1.21 or newer"
	echo "  GO   $1"
	made=$(path "$1")
	mkdir -p "${made%/*}"
	(cd "$1" && timeout "${SECONDS_AT_MOST:-7200}" \
		go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$made.part" .) ||
		cannot "$1" "see above; the next run goes on there"
	mv "$made.part" "$made"
}

case ${1:-} in
--where) path "$2" ;;
--missing) [ -x "$(path "$2")" ] || echo "$2 is not built: tests/go/build.sh $2" ;;
-* | "") sed -n 2,10p "$0" >&2; exit 2 ;;
*) for name in "$@"; do build "$name"; done ;;
esac
