"""Supervised training of the small networks on the simulator's truth."""
