"""A movie whose clean signal is known: a scene of cells, seen by a detector."""
