#!/usr/bin/env bash
# Starts a Docker engine by hand where no service manager does it (a CI machine without systemd, say), and
# stops it again. It needs root and `dockerd` on the PATH. An engine that somebody else runs is used as it
# is and is never stopped.
#
#   docker/engine.sh start    prints `running` (somebody's) or `started` (ours)
#   docker/engine.sh stop     stops the one that `start` started; else does nothing
#   docker/engine.sh status   prints `running`, `started` or `none`
set -euo pipefail

run_dir=${CONCLAVE_ENGINE_DIR:-/run/conclave-engine}
pid_file=$run_dir/dockerd.pid
log_file=$run_dir/dockerd.log
start_timeout_s=60
stop_timeout_s=60

fail() {
  echo "engine.sh: $*" >&2
  exit 1
}

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# The engine writes the pid file itself; a number that belongs to another program by now does not count.
ours() {
  [ -r "$pid_file" ] && [ "$(cat "/proc/$(cat "$pid_file")/comm" 2>/dev/null)" = dockerd ]
}

status() {
  if ours; then
    echo started
  elif answers; then
    echo running
  else
    echo none
  fi
}

# A container must not send larger packets than the machine's way out carries.
mtu_of_default_route() {
  local interface
  interface=$(awk '$2 == "00000000" { print $1; exit }' /proc/net/route)
  cat "/sys/class/net/${interface:-lo}/mtu"
}

start() {
  command -v docker >/dev/null || fail 'no `docker` on the PATH (Debian: apt-get install docker.io)'
  if answers; then
    status
    return
  fi
  command -v dockerd >/dev/null || fail 'no engine answers and no `dockerd` is on the PATH (Debian: apt-get install docker.io)'
  [ "$(id -u)" = 0 ] || fail 'no engine answers, and only root can start one'

  local mtu
  mtu=$(mtu_of_default_route)
  [ "$mtu" -le 1500 ] || mtu=1500
  mkdir -p "$run_dir"
  setsid dockerd --pidfile "$pid_file" --mtu "$mtu" >"$log_file" 2>&1 </dev/null &
  local launched=$!
  for _ in $(seq $((start_timeout_s * 5))); do
    if answers; then
      echo started
      return
    fi
    kill -0 "$launched" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 20 "$log_file" >&2
  fail "dockerd did not come up; its log is $log_file"
}

stop() {
  ours || return 0
  local pid
  pid=$(cat "$pid_file")
  kill "$pid"
  for _ in $(seq $((stop_timeout_s * 5))); do
    [ -e "/proc/$pid" ] || {
      rm -rf "$run_dir"
      return
    }
    sleep 0.2
  done
  fail "dockerd ($pid) did not stop"
}

case ${1:-} in
  start | stop | status) "$1" ;;
  *) fail 'usage: engine.sh start|stop|status' ;;
esac
