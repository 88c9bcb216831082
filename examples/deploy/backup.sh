#!/usr/bin/env bash
# Dumps the database again and again, and keeps the last dumps: `bash backup.sh` until it is
# told to go, `bash backup.sh once`, or `bash backup.sh check` whether the newest is recent.
# libpq's variables say which database; PGPASSWORD_FILE is where its password is.
set -euo pipefail

folder="${BACKUP_FOLDER:-/var/lib/postgresql}"
every_s="${BACKUP_EVERY_S:-86400}"
keep="${BACKUP_KEEP:-14}"

dump() {
  if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD="$(cat "$PGPASSWORD_FILE")"
    export PGPASSWORD
  fi
  local name
  local unfinished="$folder/.unfinished-$$"
  name="$folder/triolet-$(date -u +%Y%m%dT%H%M%SZ).dump"
  rm -f "$folder"/.unfinished-*
  # Whole before it has its name: what has one can be restored. `&&`, for where a function is
  # asked for its success `set -e` does not hold in it.
  pg_dump --format=custom --file="$unfinished" &&
    pg_restore --list "$unfinished" >/dev/null &&
    sync "$unfinished" &&
    mv "$unfinished" "$name" &&
    echo "dumped $name, $(stat -c %s "$name") bytes"
}

rotate() {
  # Names sort by time. Only after a new one is there is an old one deleted.
  ls "$folder"/triolet-*.dump | head -n "-$keep" | while read -r old; do
    rm -f "$old"
    echo "deleted $old"
  done
}

check() {
  local newest
  newest="$(ls "$folder"/triolet-*.dump | tail -n 1)"
  [ "$(($(date +%s) - $(stat -c %Y "$newest")))" -le "$((every_s + 3600))" ]
}

case "${1:-}" in
  once) dump && rotate ;;
  check) check ;;
  "")
    trap 'exit 0' TERM INT
    while true; do
      # One that fails is told and tried again in a while; `check` finds it missing.
      if dump && rotate; then pause_s="$every_s"; else pause_s=$((every_s < 300 ? every_s : 300)); fi
      sleep "$pause_s" &
      wait $!
    done
    ;;
  *) echo "usage: backup.sh [once | check]" >&2; exit 2 ;;
esac
