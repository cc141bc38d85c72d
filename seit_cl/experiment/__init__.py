"""One run: its parts, its data, its checkpoints and its metadata."""
