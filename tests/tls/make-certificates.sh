#!/bin/sh
# Makes the certificates that the tests use, in the directory $1: NAME.pem (with its chain) and
# NAME.key for each. Nothing is made twice; a file `done` says that all are there.
set -eu

mkdir -p "$1"
cd "$1"
[ ! -e done ] || exit 0

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# authority NAME
authority() {
	key "$1"
	openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 30 -out "$1.pem" \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
}

# leaf NAME AUTHORITY DAYS NAMES [USAGE]
leaf() {
	[ -e "$1.key" ] || key "$1"
	openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
	printf 'subjectAltName=%s\nextendedKeyUsage=%s\n' "$4" "${5:-serverAuth}" >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -days "$3" \
		-set_serial "0x$(openssl rand -hex 8)" -extfile "$1.ext" -out "$1.pem"
}

{
	authority ca
	authority other-ca
	leaf local ca 30 DNS:localhost,IP:127.0.0.1
	leaf one ca 30 DNS:one.test
	leaf renewed ca 60 DNS:one.test
	leaf wild ca 30 'DNS:*.wild.test,DNS:wild.test'
	leaf exact ca 30 DNS:exact.wild.test
	openssl genrsa -out rsa.key 2048
	leaf rsa ca 30 DNS:one.test
	leaf expired ca -1 DNS:localhost,IP:127.0.0.1
	leaf stranger other-ca 30 DNS:localhost,IP:127.0.0.1
	leaf client ca 30 DNS:client.test clientAuth
	leaf other-client other-ca 30 DNS:client.test clientAuth
	leaf expired-client other-ca -1 DNS:client.test clientAuth
	openssl req -x509 -new -key local.key -subj /CN=self -days 30 -out self.pem \
		-addext subjectAltName=IP:127.0.0.1
	cp local.key self.key

	# A chain with an authority in between.
	key between
	openssl req -new -key between.key -subj /CN=between -out between.csr
	printf 'basicConstraints=critical,CA:TRUE\n' >between.ext
	openssl x509 -req -in between.csr -CA ca.pem -CAkey ca.key -days 30 -set_serial 7 \
		-extfile between.ext -out between.pem
	leaf chain between 30 DNS:chain.test
	cat between.pem >>chain.pem

	openssl ec -in local.key -aes256 -passout pass:secret -out encrypted.key

	# Files that are no good.
	tr 'M' '!' <one.pem >garbled.pem
	cat one.pem garbled.pem >garbled-chain.pem
	head -c 5000000 /dev/zero >large.pem
	openssl genrsa -out weak.key 1024
	openssl req -x509 -new -key weak.key -subj /CN=weak -days 30 -out weak.pem
	rm -f ./*.csr ./*.ext
} 2>log || { cat log >&2; exit 1; }
touch done
