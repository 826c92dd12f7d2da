"""The map as a camera sees it, and its refinement by what images show."""
