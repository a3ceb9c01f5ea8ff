"""Build the documentation as a site, offline, into build/site; a link that leads nowhere ends it: make docs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"
KINDS = ("*.md", "*.png", "*.webp", "*.svg")


def main() -> None:
    """Copy every tracked page and picture, where it stands in the repository, and let mkdocs build them."""
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", *KINDS]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()  # noqa: S603
    shutil.rmtree(PAGES, ignore_errors=True)
    for name in names:
        (PAGES / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, PAGES / name)
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(ROOT / "mkdocs.yml")]
    subprocess.run(build, check=True, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})  # noqa: S603


if __name__ == "__main__":
    main()
