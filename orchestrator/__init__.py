"""Orchestrate calcium-imaging denoisers in pinned environments and say whether published numbers hold."""
