"""The napari plugin: the only place that imports Qt and napari."""
