"""The Evaluate dock: what was removed, how good it is, before and after."""
