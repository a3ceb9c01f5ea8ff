"""May a denoised movie be believed? Checks that need no reference, each proved by a planted fault.

Pure functions on movies that are read frame by frame: NumPy and SciPy only, memory flat in the number of frames.
docs/checks.md lists the checks.
"""

from .battery import check_movie
from .lights import Band, Check, Light, Topic, Verdict

__all__ = ["Band", "Check", "Light", "Topic", "Verdict", "check_movie"]
