"""Floor 4: weights of others and how they get here, beside the starter set itself."""
