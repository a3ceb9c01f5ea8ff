"""Published experiments: which of them run in which order, and what they will need."""
