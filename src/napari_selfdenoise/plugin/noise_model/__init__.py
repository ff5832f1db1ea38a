"""The Noise model dock: calibrates from repeated frames."""
