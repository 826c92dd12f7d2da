"""Floor 4: recordings and simulated clips, all read through one `Sequence`."""
