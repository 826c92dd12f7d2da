"""Whether inputs and outputs can be trusted right now, and how that is said."""
