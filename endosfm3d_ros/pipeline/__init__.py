"""Floor 4: the stages as one graph, live and frame by frame."""
