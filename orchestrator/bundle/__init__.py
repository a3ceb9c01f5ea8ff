"""Everything of calm in one folder, for a machine without network."""
