"""Where the map grows, merges, thins and guesses."""
