"""Metres per unit: who measures them, and what follows from it."""
