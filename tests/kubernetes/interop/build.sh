#!/bin/sh
# Builds what `make interop` runs against, once, into a folder outside of the tree: other projects'
# own programs, from their Go modules. It takes long and much memory; it goes on where it was ended.
#
#   build.sh            builds what is missing; FULL=1: with all of KEDA's scalers (an hour more)
#   build.sh --where    prints the folder
#   build.sh --missing  prints in plain words what is missing, nothing if all is there
#
# Exit 0: all is there. 3: it cannot be had here and now; a line says why.
set -u

KEDA=v2.21.0
here=$(cd "$(dirname "$0")" && pwd)

where=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/slotgate/interop-keda-$KEDA${FULL:+-full}-$(uname -m)
KEDA_PROGRAMS="operator adapter"

missing() {
	for program in $KEDA_PROGRAMS; do
		[ -x "$where/keda-$program" ] || echo "KEDA's $program is not built"
	done
	[ -e "$where/keda-crds/keda.sh_scaledobjects.yaml" ] || echo "KEDA's schemas are not there"
}

cannot() {
	echo "not built: $1" >&2
	exit 3
}

# As a main module, in a copy: its go.mod replaces and excludes modules, which counts only there.
keda() {
	module=$(go mod download -json "github.com/kedacore/keda/v2@$KEDA" |
		sed -n 's|^\t"Dir": "\(.*\)",$|\1|p') && [ -n "$module" ] || return 1
	rm -rf "$where/keda-src" "$where/.keda-crds"
	cp -r "$module" "$where/keda-src" && chmod -R u+w "$where/keda-src" || return 1
	[ "${FULL:-}" ] || python3 "$here/trim_keda.py" "$where/keda-src" || return 1
	for program in $KEDA_PROGRAMS; do
		[ ! -x "$where/keda-$program" ] || continue
		echo "  GO   keda-$program"
		(cd "$where/keda-src" && go build -mod=mod -buildvcs=false -trimpath \
			-ldflags "-s -w -X github.com/kedacore/keda/v2/version.Version=${KEDA#v}" \
			-o "$where/.keda-$program" "./cmd/$program") &&
			mv "$where/.keda-$program" "$where/keda-$program" || return 1
	done
	cp -r "$where/keda-src/config/crd/bases" "$where/.keda-crds" &&
		mv "$where/.keda-crds" "$where/keda-crds" && rm -rf "$where/keda-src"
}

case ${1:-} in
--where) echo "$where"; exit 0 ;;
--missing) missing; exit 0 ;;
"") ;;
*) sed -n 2,9p "$0" >&2; exit 2 ;;
esac

[ -n "$(missing)" ] || exit 0
command -v go >/dev/null 2>&1 ||
	cannot "there is no Go on this machine; install Go 1.21 or newer (https://go.dev/dl)"
mkdir -p "$where"
keda || cannot "KEDA $KEDA: see above"
echo "KEDA $KEDA is built: $where"
