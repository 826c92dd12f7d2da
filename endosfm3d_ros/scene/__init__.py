"""Floor 3: the complete scene put together from what the other stages know."""
