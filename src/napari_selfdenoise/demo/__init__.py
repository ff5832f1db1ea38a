"""The whole pipeline on the shipped image, and figures for print.

For the command line alone.
"""

from napari_selfdenoise.demo.pipeline import run_demo

__all__ = [
    "run_demo",
]
