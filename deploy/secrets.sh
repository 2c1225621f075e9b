#!/bin/sh
# Makes deploy/secrets with random passwords and empty PagerDuty keys. What is there stays.
#
# Containers read these files as users of their own, so the files are readable and the
# folder is not: Docker mounts each file by itself.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 022
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
keep() { [ -e "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"; }

keep postgres_password "$(random)"
keep store_url "postgresql+psycopg://dbslo:$(cat "$folder/postgres_password")@postgres:5432/dbslo"
keep grafana_admin_password "$(random)"
keep pagerduty_key ""
keep alertmanager_pagerduty_key ""
printf 'secrets are in %s; put your PagerDuty routing key into pagerduty_key\n' "$folder"
