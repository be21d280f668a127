#!/bin/sh
# Installs what is missing on a Debian machine:
# deps.sh build|run|test|deep|observe|browser|kubernetes|peers|bench...
set -eu

packages=
for purpose in "$@"; do
	case $purpose in
	build) packages="$packages gcc libc6-dev make pkg-config libevent-dev node-llhttp
		libssl-dev libcjson-dev libcurl4-openssl-dev libnghttp2-dev libyaml-dev
		libprotobuf-c-dev protobuf-c-compiler" ;;
	run) packages="$packages hey python3" ;;
	test) packages="$packages libcmocka-dev clang-format python3 python3-pytest python3-pytest-xdist
		python3-pip python3-uvicorn python3-fastapi python3-websockets python3-hpack python3-hyperframe
		python3-grpcio python3-grpc-tools nghttp2-client curl hey openssl procps mount
		util-linux" ;;
	deep) packages="$packages clang libclang-rt-14-dev valgrind python3-h2" ;;
	kubernetes) packages="$packages etcd-server iproute2 python3-yaml" ;;
	observe) packages="$packages hey prometheus python3 python3-yaml" ;;
	browser) packages="$packages chromium chromium-driver python3-selenium" ;;
	peers) packages="$packages haproxy nginx-light" ;;
	bench) packages="$packages wrk nghttp2-client iproute2 openssl python3 python3-grpcio
		python3-grpc-tools" ;;
	*) echo "deps.sh: unknown purpose: $purpose" >&2; exit 2 ;;
	esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "deps.sh: not a Debian machine; the build needs:" $packages >&2
	exit 0
fi

missing=
installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' 2>/dev/null) "
for package in $packages; do
	case $installed in
	*" installed:$package "*) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null 2>&1 || {
		echo "deps.sh: become root, or install sudo, to install:$missing" >&2
		exit 1
	}
	sudo=sudo
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get -qq update

# Programs are installed to be run by tests, not as services of this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap '$sudo rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
	$sudo chmod +x $policy
fi
$sudo apt-get -qq -y --no-install-recommends install $missing >/dev/null
for package in $missing; do
	case $package in
	prometheus | haproxy | nginx-light | etcd-server)
		service=${package%-light}
		[ ! -d /run/systemd/system ] || $sudo systemctl disable --now "${service%-server}" || : ;;
	esac
done
