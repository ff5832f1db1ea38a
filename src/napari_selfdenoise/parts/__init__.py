"""The choices of a method: frozen values that compute; they know no device.

Each choice is a room of its own: `masking`, `networks`, `signal_heads`, `noise_models`,
`psf`, `estimators`; `gaussian_mixtures` and `likelihood` are what they share. For every
room from config upwards.
"""
