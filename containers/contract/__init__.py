"""The contract between orchestrator and image, version 2: jobs in, TIFFs, events and a result out.

This package is copied into every image and is also what the orchestrator writes jobs and reads results with,
so both sides share one definition (docs/adr/0001).
It needs numpy, tifffile and the standard library only.
"""

CONTRACT_VERSION = 2
TARGET_SINCE = 2  # version from which a job may name targets (docs/adr/0007)
