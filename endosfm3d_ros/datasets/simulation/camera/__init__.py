"""The endoscope: its rig, its ways, its sensor."""
