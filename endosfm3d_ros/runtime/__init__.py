"""Floor 1: what belongs to the process and not to a stage."""
