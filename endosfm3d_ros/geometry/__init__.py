"""Floor 1: pinhole camera, rigid motions, clouds. No other module does this arithmetic."""
