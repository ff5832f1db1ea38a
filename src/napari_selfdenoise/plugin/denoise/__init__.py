"""The Denoise dock: everything on it, and slots that read, call the core, show."""
