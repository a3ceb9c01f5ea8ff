#!/usr/bin/env bash
# Docker Engine from Debian 12. A daemon that already answers (systemd's, a remote one) is used as it is.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

answers() {
    docker version --format '{{.Server.Version}}'
}

install() {
    apt_install mmdebstrap # makes the base image where no registry is reached
    if answers >/dev/null 2>&1; then return 0; fi
    apt_install docker.io iptables ca-certificates
}

start() {
    if ! answers >/dev/null 2>&1; then
        start_daemon dockerd dockerd
        wait_ready dockerd answers
    fi
    say "client $(docker version --format '{{.Client.Version}}'), server $(answers), storage $(docker info --format '{{.Driver}}')"
}

stop() {
    stop_daemon dockerd
}

dispatch "$@"
