"""Floor 4: losses and steps of self-supervised training."""
