"""Measure what a machine with a GPU gives, in some minutes, without network and without an engine.

Usage: python3 benchmarks/gpu.py [--minutes 8] [--json FILE] [--device cpu|cuda] [--wheels DIR] [--dry-run]

Needs a Python with torch and numpy, and wheels of the rest (benchmarks/gpu/wheels.py); docs/gpu.md says more.
"""

import sys

from gpu.session import main

sys.path.pop(0)  # what follows imports the package deepcad, not the benchmark of that name beside this file

if __name__ == "__main__":
    main()
