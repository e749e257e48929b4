#!/bin/sh
# Installs what the tests need from Debian's packages, when something is missing and can be installed.
packages="socat mosquitto openssl"
PATH="$PATH:/usr/sbin"
missing=""
for package in $packages; do
	command -v "$package" >/dev/null 2>&1 || missing="$missing $package"
done
command -v mariadbd >/dev/null 2>&1 || missing="$missing mariadb-server"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing; } \
		>/dev/null 2>&1 && exit 0
fi
echo "Tests that need$missing are skipped: install with apt install$missing"
