"""Floor 4: scores against references, and numerical agreement with the published code."""
