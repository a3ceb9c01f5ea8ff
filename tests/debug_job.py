"""Do a job again in this process, in front of you: no log file, so that `breakpoint()` and pdb work.

`make debug` calls it:
python tests/folder_environment.py FOLDER -m pdb -c continue tests/debug_job.py JOB
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import run  # of the folder, which is on the path
from contract.events import Events
from contract.job import read_job
from contract.seeding import seed_everything

job = read_job(Path(sys.argv[1]).absolute())
seed_everything(job.seed, job.threads)
with closing(Events(Path(os.devnull))) as events:
    getattr(run, job.command)(job, events)
