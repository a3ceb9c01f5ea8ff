"""The scores of a run, and the list of metrics they come from."""
