#!/usr/bin/env bash
# Apptainer on Debian 12. Only Debian sid has it, built for a newer C library than Debian 12's, so the program is unpacked
# beside a private copy of the libraries it wants and pointed at that copy; the machine's own libraries stay as they are.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

readonly library_dir=/usr/local/lib/apptainer-libraries
readonly libraries=(libc6 libseccomp2 libsqlite3-0 zlib1g)

works() {
    apptainer --version
}

# newer_apt APT-COMMAND...: runs it with an apt configuration of its own that sees sid and trixie and nothing of this machine.
# A mirror may lag behind the week for which sid's index is valid; its signature is checked all the same.
newer_apt() {
    local program=$1
    shift
    "$program" -qq -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$work/lists" -o Dir::State::status=/dev/null -o "Dir::Cache=$work/cache" \
        -o APT::Sandbox::User=root -o APT::Default-Release=trixie -o Acquire::Check-Valid-Until=false "$@"
}

download() {
    local mirror suite
    mirror=$(debian_mirror Debian bookworm)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/packages"
    for suite in sid trixie; do
        printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite"
    done >"$work/sources.list"
    newer_apt apt-get update
    (cd "$work/packages" && newer_apt apt-get download apptainer/sid "${libraries[@]}")
}

unpack() {
    local package program
    mkdir -p "$work/libraries" "$work/apptainer" "$library_dir"
    for package in "${libraries[@]}"; do
        dpkg-deb -x "$work/packages/${package}"_*.deb "$work/libraries"
    done
    find "$work/libraries" -path '*/gconv' -prune -o ! -type d -name '*.so*' -exec cp -L --remove-destination {} "$library_dir" \;
    dpkg-deb -x "$work/packages"/apptainer_*.deb "$work/apptainer"
    for program in usr/bin/apptainer "usr/lib/$(uname -m)-linux-gnu/apptainer/bin/starter"; do
        # RPATH, not RUNPATH: only the former also holds for the libraries that these libraries want.
        patchelf --set-interpreter "$library_dir/$(basename "$(patchelf --print-interpreter "$work/apptainer/$program")")" \
            --force-rpath --set-rpath "$library_dir" "$work/apptainer/$program"
    done
    tar -C "$work/apptainer" -c --exclude=./usr/share . | tar -C / -x --keep-directory-symlink
}

install() {
    apt_install squashfs-tools squashfuse uidmap containernetworking-plugins ca-certificates patchelf
    if works >/dev/null 2>&1; then return 0; fi
    say "unpacking apptainer from sid"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    download
    unpack
    works >/dev/null || fail "apptainer was unpacked but does not start; sid may want a newer libc6 than trixie's"
}

start() {
    say "$(works)"
}

stop() {
    say "nothing runs in the background; nothing to stop"
}

dispatch "$@"
