# Shared by the provisioning scripts beside it; sourced, never run.
#
# The scripts install real container engines and a one-node Slurm from Debian 12 packages, for tests and CI.
# Each takes one argument: `install`, `start` (the default: install, then start what has to run) or `stop`.
# Each can be run any number of times. Logs and process ids go below $CALM_HOME/engines.
# shellcheck shell=bash
set -euo pipefail

readonly state_dir="${CALM_HOME:-${XDG_STATE_HOME:-${HOME:-/root}/.local/state}/calm}/engines"
readonly ready_timeout_s=60

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$1" >&2
    exit 1
}

say() {
    printf '%s: %s\n' "$(basename "$0")" "$1"
}

require_root() {
    [ "$(id -u)" -eq 0 ] || fail "must run as root, because it installs Debian packages (try: sudo $0)"
    command -v apt-get >/dev/null || fail "apt-get not found; these scripts are for Debian 12"
    mkdir -p "$state_dir"
}

# is_installed PACKAGE
is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# apt_install PACKAGE...: installs what is missing and leaves everything else as it is.
apt_install() {
    local package missing=()
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${missing[@]}" >"$state_dir/apt.log" 2>&1 ||
        fail "apt-get install failed: $(tail -n 5 "$state_dir/apt.log")"
}

# debian_mirror LABEL SUITE: address of the mirror that this machine's own apt sources name, so that none is written here.
debian_mirror() {
    local address
    # shellcheck disable=SC2016  # apt expands these, not the shell
    address=$(apt-get indextargets --format '$(LABEL) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
        awk -v label="$1" -v suite="$2" '$1 == label && $2 == suite { print $3; exit }')
    [ -n "$address" ] || fail "no apt source with label $1 and suite $2; expected a Debian 12 machine after apt-get update"
    printf '%s\n' "${address%/}"
}

# running NAME: true if the process that start_daemon NAME started is alive (the name guards against a reused id).
running() {
    local pid
    pid=$(cat "$state_dir/$1.pid" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]
}

# start_daemon NAME COMMAND...: in a session of its own, so that it outlives the caller. NAME is the program's name.
# It starts in the state folder, because Podman's monitor leaves a file in the folder it is started from.
start_daemon() {
    local name=$1
    shift
    ! running "$name" || return 0
    (cd "$state_dir" && exec setsid "$@" </dev/null >"$state_dir/$name.log" 2>&1) &
    printf '%s\n' "$!" >"$state_dir/$name.pid"
    disown
}

# wait_ready NAME COMMAND...: until COMMAND succeeds.
wait_ready() {
    local name=$1 deadline=$((SECONDS + ready_timeout_s))
    shift
    until "$@" >/dev/null 2>&1; do
        # Not running(): until it has replaced this shell's copy, the process has another name.
        kill -0 "$(cat "$state_dir/$name.pid")" 2>/dev/null || fail "$name ended while starting: $(tail -n 5 "$state_dir/$name.log")"
        [ "$SECONDS" -lt "$deadline" ] ||
            fail "$name not ready after $ready_timeout_s s: $(tail -n 5 "$state_dir/$name.log")"
        sleep 0.2
    done
}

# start_munge: what Slurm's programs know each other by.
# /run is empty after a restart and there may be no systemd to make munge's folder in it.
start_munge() {
    ! munge --no-input >/dev/null 2>&1 || return 0
    command install --directory --owner=munge --group=munge --mode=0755 /run/munge
    start_daemon munged setpriv --reuid=munge --regid=munge --init-groups munged --foreground
    wait_ready munged munge --no-input
}

# stop_daemon NAME: ends what start_daemon started and nothing else.
stop_daemon() {
    local name=$1 pid deadline=$((SECONDS + ready_timeout_s))
    if ! running "$name"; then
        say "$name was not started from $state_dir; nothing to stop"
        return 0
    fi
    pid=$(cat "$state_dir/$name.pid")
    kill -TERM "$pid"
    while running "$name"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$name (process $pid) did not end within $ready_timeout_s s"
        sleep 0.1
    done
    rm -f "$state_dir/$name.pid"
    say "stopped $name"
}

# dispatch ARGUMENT: calls install, start or stop, which the script defines.
dispatch() {
    require_root
    case "${1:-start}" in
        install) install ;;
        start)
            install
            start
            ;;
        stop) stop ;;
        *) fail "unknown argument '$1'; expected install, start or stop" ;;
    esac
}
