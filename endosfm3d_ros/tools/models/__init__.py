"""Models of instruments: where they come from, and how they are made fit for use."""
