"""Depth sources that need no network, and what every depth source offers."""
