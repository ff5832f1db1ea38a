"""The parts of a method that can be chosen: frozen values that compute, on any device.

Each choice is a room of its own: `masking`, `networks`, `signal_heads`, `noise_models`,
`psf`, `estimators`; `gaussian_mixtures` and `likelihood` are what they share. For every
room from config upwards.
"""
