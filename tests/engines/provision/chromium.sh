#!/usr/bin/env bash
# Headless Chromium and its WebDriver from Debian 12, for the tests that open and click the reports.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

install() {
    # Chromium without a font draws empty boxes, and its package does not depend on one.
    apt_install chromium chromium-driver fonts-dejavu-core
}

# Each test starts and ends a browser of its own: nothing stays running.
start() {
    say "$(chromium --version --no-sandbox), $(chromedriver --version | cut -d ' ' -f 1-2)"
}

stop() {
    say "nothing runs between tests; nothing to stop"
}

dispatch "$@"
