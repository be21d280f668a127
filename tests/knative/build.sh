#!/bin/sh
# Builds main.go, Knative's own side of what slotgate tells it, once, into a folder outside of the tree.
#
#   build.sh              builds it, if it is not there; SECONDS_AT_MOST=N ends it
#   build.sh --where      prints the folder
#   build.sh --missing    prints in plain words why it is not there, nothing if it is
#
# Exit 0: it is there. 3: it cannot be had here and now; a line says why.
set -u
cd "$(dirname "$0")" || exit 1

release=$(sed -n 's|^.*knative.dev/serving \(v[0-9.]*\).*$|\1|p' go.mod)
source=$(cat go.mod main.go | cksum | cut -d' ' -f1)
where=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/slotgate/knative-$release-$source-$(uname -m)
GO_OLDEST=121 # from here on, Go fetches the version that go.mod asks for

case ${1:-} in
--where) echo "$where"; exit 0 ;;
--missing)
	[ -x "$where/autoscaler" ] || echo "Knative's own decoder is not built: make test-kubernetes"
	exit 0 ;;
"") ;;
*) sed -n 2,9p "$0" >&2; exit 2 ;;
esac

cannot() {
	echo "Knative's own decoder is not built: $1" >&2
	exit 3
}

[ ! -x "$where/autoscaler" ] || exit 0
command -v go >/dev/null 2>&1 ||
	cannot "there is no Go on this machine; install Go 1.21 or newer (https://go.dev/dl)"
number=$(go env GOVERSION | sed 's/^go\([0-9]*\)\.\([0-9]*\).*/\1\2/')
[ "$number" -ge "$GO_OLDEST" ] ||
	cannot "$(go env GOVERSION) is too old to fetch the Go that it needs; install Go 1.21 or newer"
mkdir -p "$where"
echo "  GO   autoscaler (Knative Serving $release)"
timeout "${SECONDS_AT_MOST:-7200}" \
	go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$where/.autoscaler" . ||
	cannot "see above; the next run goes on there"
mv "$where/.autoscaler" "$where/autoscaler"
