"""May a denoised movie be believed? Checks that need no reference, each proved by a planted fault.

`battery` holds pure functions on movies that are read frame by frame: NumPy and SciPy only, memory flat in the number
of frames. `of_run` keeps their outcome for a run, `words` says it. docs/checks.md lists the checks.
"""
