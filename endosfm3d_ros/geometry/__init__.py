"""Floor 0: pinhole camera, rigid motions, clouds. No other module does this arithmetic."""
