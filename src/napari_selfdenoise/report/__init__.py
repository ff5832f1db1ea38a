"""A run as one HTML page: images, curves, settings, and a paragraph for Methods.

Knows models and evaluation. For the command line and the window.
"""

from napari_selfdenoise.report.methods_text import methods_paragraph
from napari_selfdenoise.report.page import write_report

__all__ = ["methods_paragraph", "write_report"]
