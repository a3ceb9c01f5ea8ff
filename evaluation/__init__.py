"""Evaluate run folders: metrics, scores, verdicts and pages. Nothing here starts a program."""
