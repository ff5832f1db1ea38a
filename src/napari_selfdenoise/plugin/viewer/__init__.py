"""Layers: from images and back, where results lie, which are offered."""
