"""Import paths from before the rooms: they lead to where the names are now.

The package searches this folder, too: `napari_selfdenoise.io` is `former/io.py`.
"""
