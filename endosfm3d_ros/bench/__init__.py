"""Floor 4: how fast the parts are on this machine."""
