#!/usr/bin/env bash
# A fresh Debian 13 with its own Python 3.13 and nothing else, and the README's quick start in it as a user without root.
#
#     sudo bash tests/fresh_debian.sh [FOLDER] [COMMAND]
#
# FOLDER gets the system (made by debootstrap where it is not there yet), COMMAND is `make run ALGO=n2v` by default.
# How pip, uv and TLS are set up here holds there too. FRESH_BINDS="/from=/to ..." shows more paths to it, such as a
# folder of wheels, or a Python 3.11 for CALM_PYTHON where none can be downloaded.
set -euo pipefail

root=${1:-/tmp/debian13}
wanted=${2:-make run ALGO=n2v}
checkout=$(cd "$(dirname "$0")/.." && pwd)

if [ ! -e "$root/etc/debian_version" ]; then
    debootstrap --variant=minbase --include=ca-certificates,git,make,python3-venv trixie "$root"
fi

enter() {
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    for pair in "$checkout=/checkout" /etc/resolv.conf=/etc/resolv.conf /etc/ssl/certs=/etc/ssl/certs ${FRESH_BINDS:-}; do
        from=${pair%%=*} to=$root${pair#*=}
        if [ -d "$from" ]; then mkdir -p "$to"; else mkdir -p "$(dirname "$to")" && touch "$to"; fi
        mount --bind "$from" "$to"
    done
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/pip.conf"
    chroot "$root" useradd --create-home reader 2> /dev/null || true
    rm -rf "$root/home/reader/calm"
    chroot "$root" git -c safe.directory=/checkout/.git clone --quiet /checkout /home/reader/calm
    chroot "$root" chown -R reader: /home/reader
    mapfile -t settings < <(env | grep -E '^(PIP_|UV_|SSL_|CALM_PYTHON=|CALM_TEST_DATA=|[A-Za-z]+_(proxy|PROXY)=)' || true)
    settings+=(HOME=/home/reader LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin)
    chroot --userspec=reader:reader "$root" env -i "${settings[@]}" bash -c "cd ~/calm && python3 --version && time $wanted"
}

export root checkout wanted
export -f enter
unshare --mount --pid --fork bash -euo pipefail -c enter
