#!/bin/sh
# Installs Debian packages, as root:  tests/ground/debian.sh PACKAGE...
# The servers among them are not started: the tests run their own.
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -o Acquire::Retries=3 -qq update
apt-get -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 -qq -y --no-install-recommends install "$@" </dev/null
