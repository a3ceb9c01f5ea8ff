#!/usr/bin/env bash
# Podman 4.3 from Debian 12, serving the Docker API on Podman's own default socket.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

readonly socket=/run/podman/podman.sock
readonly user=calm-user
readonly drop_in=/etc/containers/containers.conf.d/50-calm.conf

install() {
    # crun, the default, refuses machines that mount cgroup v1 and v2 side by side; runc takes both.
    apt_install podman runc conmon uidmap netavark aardvark-dns ca-certificates curl
    apt_install mmdebstrap # makes the base image where no registry is reached
    mkdir -p "$(dirname "$drop_in")"
    # Podman's default limits are above what a root without CAP_SYS_RESOURCE may set, so they are stated here.
    cat >"$drop_in.part" <<'CONF'
[containers]
default_ulimits = ["nofile=1024:20000", "nproc=4096:4096"]

[engine]
runtime = "runc"
CONF
    mv "$drop_in.part" "$drop_in"
    # An ordinary user with ids for the users of images, for tests/engines/test_rootless.py.
    id "$user" >/dev/null 2>&1 || useradd --create-home --shell /usr/sbin/nologin "$user"
    grep -q "^$user:" /etc/subuid || usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$user"
}

answers() {
    curl --silent --fail --max-time 5 --unix-socket "$socket" http://localhost/_ping
}

start() {
    if ! answers >/dev/null 2>&1; then
        mkdir -p "$(dirname "$socket")"
        start_daemon podman podman system service --time=0 "unix://$socket"
        wait_ready podman answers
    fi
    say "$(podman --version), $(runc --version | head -n 1), socket $socket"
}

stop() {
    stop_daemon podman
}

dispatch "$@"
