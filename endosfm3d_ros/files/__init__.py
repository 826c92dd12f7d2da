"""Floor 0: where files lie, and how they are read and written whole."""
