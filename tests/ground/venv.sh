#!/bin/sh
# Makes .venv with the first Python from 3.11 that has venv, and installs the project
# into it:  tests/ground/venv.sh [EXTRA]    (runtime only, or with the extra `dev`)
set -eu
extra=${1:-}

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if [ ! -x .venv/bin/python ]; then
  chosen=
  for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if fits "$python"; then chosen=$python; break; fi
  done
  if [ -z "$chosen" ]; then
    echo "dbslo needs Python 3.11 or newer; none of ${PYTHON:-python3, python3.13, python3.12, python3.11} is. Name one: make PYTHON=/path/to/python" >&2
    exit 1
  fi
  if ! "$chosen" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$chosen has no venv: apt-get install python3-venv" >&2
    exit 1
  fi
  echo "making .venv with $("$chosen" --version)"
  "$chosen" -m venv .venv
fi
echo "installing dbslo${extra:+ and its $extra tools} into .venv (a minute, once)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}"
