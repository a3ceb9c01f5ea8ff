"""Opens runs of calm in napari."""
