"""Measure what a machine with a GPU gives, in some minutes, without network and without an engine.

Usage: python3 benchmarks/gpu.py [--minutes 8] [--json FILE] [--device cpu|cuda] [--wheels DIR] [--dry-run]

Needs a Python with torch and numpy, and wheels of the rest (benchmarks/gpu/wheels.py); docs/gpu.md says more.
"""

from gpu.session import main

if __name__ == "__main__":
    main()
