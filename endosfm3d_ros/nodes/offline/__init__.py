"""Bags, and the node as a process: demo, player, recorder and benchmarks of the node."""
