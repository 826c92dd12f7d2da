"""What tissue looks like at rest, and how it moves."""
