#!/bin/sh
# Makes a root file system with Python 3.11 from Debian 12 packages, for the BASE argument of the Dockerfiles where no
# container registry is reached. Prints the path of a tar file for `docker import` or `podman import`; the versions it is
# made of are beside it in a file ending in .packages. Made once: kept below $CALM_HOME/base under a hash of this script
# and packages.txt.
set -eu

suite=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Every newer time stamp is set back to the day of the first Debian 12 release, so that equal packages give equal bytes.
export SOURCE_DATE_EPOCH=1686355200

here=$(cd "$(dirname "$0")" && pwd)
home=${CALM_HOME:-${XDG_STATE_HOME:-${HOME:-/root}/.local/state}/calm}/base
key=$(cat "$here/make-base.sh" "$here/packages.txt" | sha256sum | cut -c 1-16)
tar=$home/$suite-$key.tar

if [ -f "$tar" ]; then
    printf '%s\n' "$tar"
    exit 0
fi
if ! command -v mmdebstrap >/dev/null; then
    echo "make-base.sh: mmdebstrap not found; hint: apt-get install mmdebstrap" >&2
    exit 1
fi

mkdir -p "$home"
part=$(mktemp -d "$home/.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
trap 'exit 130' INT TERM

# The mirror is whichever this machine's own apt sources name; without one mmdebstrap's default is used.
# shellcheck disable=SC2016  # apt expands these, not the shell
apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v suite="$suite" -v keyring="$keyring" '
        $1 == suite || $1 == suite "-updates" || $1 == suite "-security" {
            print "deb [signed-by=" keyring "] " $2 " " $1 " main"
        }' | sort -u >"$part/sources"
sources=
[ ! -s "$part/sources" ] || sources=$part/sources

# Documentation is left out; the mirror, resolver and name of the machine that made it must not show in the result.
# shellcheck disable=SC2016  # the shell of each hook expands $1, the root of the new file system
mmdebstrap --variant=minbase --quiet \
    --include="$(grep -v '^#' "$here/packages.txt" | paste -sd, -)" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='chroot "$1" dpkg-query -W >"'"$part"'/packages"' \
    --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/apt/sources.list" "$1"/etc/apt/sources.list.d/*' \
    --customize-hook='echo localhost >"$1/etc/hostname"' \
    --customize-hook='find "$1/var/log" "$1/var/cache" -type f -delete' \
    "$suite" "$part/base.tar" ${sources:+"$sources"} >&2

mv "$part/packages" "${tar%.tar}.packages"
mv "$part/base.tar" "$tar"
printf '%s\n' "$tar"
