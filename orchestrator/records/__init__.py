"""What is kept of runs: the typed record, the run folder read once, regions to look at, known truth."""
