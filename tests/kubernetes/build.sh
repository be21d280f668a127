#!/bin/sh
# Builds what the Kubernetes tests need, once, into a folder outside of the tree: kube-apiserver and
# kube-controller-manager from the module in binaries/, helm, prometheus-adapter, Knative's autoscaler,
# and the manifests of the resources of others that deploy/ speaks of.
#
#   build.sh              builds what is missing; SECONDS_AT_MOST=N ends it, the next run goes on
#   build.sh --where      prints the folder; with NAME, the path of that program of another project
#   build.sh --missing    prints in plain words what is missing, nothing if all is there
#
# Exit 0: all is there. 3: it cannot be had here and now; a line says why.
set -u
cd "$(dirname "$0")/binaries" || exit 1

HELM=v4.3.1
# Programs of other projects, each with its version in its name: NAME MODULE@VERSION, and the command.
OTHERS="prometheus-adapter sigs.k8s.io/prometheus-adapter@v0.12.0
	./cmd/adapter
knative-autoscaler knative.dev/serving@v0.42.2
	./cmd/autoscaler"
# Modules of Go that are read, not built: the schemas of what deploy/ asks of other projects.
SCHEMAS="prometheus-operator github.com/prometheus-operator/prometheus-operator@v0.85.0
	example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
karpenter sigs.k8s.io/karpenter@v1.14.1
	pkg/apis/crds/karpenter.sh_nodepools.yaml
karpenter-aws github.com/aws/karpenter-provider-aws@v1.14.1
	pkg/apis/crds/karpenter.k8s.aws_ec2nodeclasses.yaml
knative knative.dev/serving@v0.51.0
	config/core/300-resources/service.yaml
keda github.com/kedacore/keda/v2@v2.21.0
	config/crd/bases/keda.sh_scaledobjects.yaml"
GO_OLDEST=121 # from here on, Go fetches the version that go.mod asks for

release=$(sed -n 's|^\tk8s.io/kubernetes \(v[0-9.]*\)$|\1|p' go.mod)
where=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/slotgate/kubernetes-$release-helm-$HELM-$(uname -m)
PROGRAMS="kube-apiserver kube-controller-manager"

missing() {
	for program in etcd ip unshare; do
		command -v "$program" >/dev/null 2>&1 || echo "$program is not installed"
	done
	for program in $PROGRAMS; do
		[ -x "$where/$program" ] || echo "$program is not built"
	done
	/usr/bin/python3 -c "import yaml" 2>/dev/null || echo "python3-yaml is not installed"
}

cannot() {
	echo "Kubernetes is not built: $1" >&2
	exit 3
}

# step NAME COMMAND...: runs it, if what it makes is not there, within what is left of the time.
started=$(date +%s)
step() {
	made=$1
	shift
	[ ! -e "$where/$made" ] || return 0
	left=$((${SECONDS_AT_MOST:-7200} - $(date +%s) + started))
	[ "$left" -gt 0 ] || cannot "the time for it is over before $made; the next run goes on there"
	echo "  GO   $made"
	timeout "$left" "$@"
	case $? in
	0) ;;
	124) cannot "$made took longer than the $left s left for it; the next run goes on there" ;;
	*) return 1 ;;
	esac
	[ -e "$where/$made" ]
}

# Under another name until it is whole.
program() {
	go build -buildvcs=false -trimpath -ldflags "-s -w $2" -o "$where/.$1" "./$1" &&
		mv "$where/.$1" "$where/$1"
}

helm() {
	GOBIN=$where/.bin go install -buildvcs=false -ldflags "-s -w" \
		"helm.sh/helm/v4/cmd/helm@$HELM" && mv "$where/.bin/helm" "$where/helm"
}

# other NAME MODULE@VERSION COMMAND: as a main module, in a copy: `go install` asks for all versions of
# a module, which not every proxy lists, and a module's own go.mod replaces what only it may.
other() {
	module=$(go mod download -json "$2" | sed -n 's|^\t"Dir": "\(.*\)",$|\1|p') &&
		[ -n "$module" ] || return 1
	rm -rf "$where/.$1-src"
	cp -r "$module" "$where/.$1-src" && chmod -R u+w "$where/.$1-src" &&
		(cd "$where/.$1-src" && go build -mod=mod -buildvcs=false -trimpath -ldflags "-s -w" \
			-o "$where/.$1" "$3") &&
		mv "$where/.$1" "$where/$1-${2#*@}" && rm -rf "$where/.$1-src"
}

# Of OTHERS: each name with its version, or that of the one named.
others() {
	echo "$OTHERS" | sed -n "s|^\(${1:-[a-z-]*}\) .*@\(.*\)|\1-\2|p"
}

# schema NAME MODULE@VERSION PATH
schema() {
	module=$(go mod download -json "$2" | sed -n 's|^\t"Dir": "\(.*\)",$|\1|p') &&
		mkdir -p "$where/schemas" && cp "$module/$3" "$where/schemas/.$1" &&
		chmod 644 "$where/schemas/.$1" && mv "$where/schemas/.$1" "$where/schemas/$1.yaml"
}

# `timeout` runs programs, not functions: the script calls itself.
case ${1:-} in
--where) echo "$where${2:+/$(others "$2")}"; exit 0 ;;
--missing) missing; exit 0 ;;
--make) shift; "$@"; exit ;;
"") ;;
*) sed -n 2,10p "$0" >&2; exit 2 ;;
esac

all() {
	for made in $PROGRAMS helm $(others) \
		$(echo "$SCHEMAS" | sed -n 's|^\([a-z]\S*\) .*@.*|schemas/\1.yaml|p'); do
		[ -e "$where/$made" ] || return 1
	done
}
! all || exit 0
command -v go >/dev/null 2>&1 ||
	cannot "there is no Go on this machine; install Go 1.21 or newer (https://go.dev/dl)"
number=$(go env GOVERSION | sed 's/^go\([0-9]*\)\.\([0-9]*\).*/\1\2/')
[ "$number" -ge "$GO_OLDEST" ] ||
	cannot "$(go env GOVERSION) is too old to fetch the Go that it needs; install Go 1.21 or newer"

mkdir -p "$where"
self=./../build.sh
minor=${release#v1.}
minor=${minor%%.*}
version=k8s.io/component-base/version
stamp="-X $version.gitVersion=$release -X $version.gitMajor=1 -X $version.gitMinor=$minor"
for program in $PROGRAMS; do
	step "$program" "$self" --make program "$program" "$stamp" || cannot "$program: see above"
done
step helm "$self" --make helm || echo "helm is not built; the chart's tests are skipped" >&2
echo "$OTHERS" | while read -r name module && read -r command; do
	step "$name-${module#*@}" "$self" --make other "$name" "$module" "$command" ||
		echo "$name is not built; its test is skipped" >&2
done
echo "$SCHEMAS" | while read -r name module && read -r path; do
	step "schemas/$name.yaml" "$self" --make schema "$name" "$module" "$path" ||
		echo "the schemas of $name are not there; its tests are skipped" >&2
done
echo "Kubernetes $release is built: $where"
