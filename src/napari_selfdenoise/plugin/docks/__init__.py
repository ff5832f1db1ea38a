"""What both docks share: runs in a thread, status, plots, opened and dropped files."""
