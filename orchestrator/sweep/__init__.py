"""Sweeps: many runs, expanded from one file, and brought to this machine or a cluster by Snakemake."""
