"""Examples of nodes that use the scene: small enough to copy, tested like everything else."""
