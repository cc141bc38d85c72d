"""Files of a finished or running run, the metrics computed from them, and their validation."""
