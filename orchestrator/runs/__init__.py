"""Runs: planned, executed, repeated, compared and recorded."""
