"""Many clips, played and summed up together."""
