"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return freed memory to the system, where the C library keeps it and can be told (glibc).

    Between arrays in use it keeps what was freed, in pieces that later arrays do not always fit into. The longer a
    movie, the more such pieces there are: without this the peak of prediction grew by 24 % from 200 to 800 frames in
    CellMincer, and by 6 % from 800 to 3200 frames in Noise2Void 3D, although no array does.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
