"""Start the `algorithm` command of the image this file lies in; run with `python -I`, so nothing else gets in."""

import os
import sys
from pathlib import Path

image = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(image))
os.environ["ALGORITHM_DIR"] = str(image / "algorithm")

from contract.__main__ import main  # noqa: E402 - found only once the path is set

sys.exit(main(sys.argv[1:]))
