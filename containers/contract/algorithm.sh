#!/bin/sh
# The command `algorithm` of an image. The caller's user is unknown to the image and may own no writable home; libraries
# that keep caches expect both.
[ -w "${HOME:-/}" ] || export HOME=/tmp
export USER="${USER:-algorithm}"
exec /opt/env/bin/python -I -B /opt/calm/contract/start.py "$@"
