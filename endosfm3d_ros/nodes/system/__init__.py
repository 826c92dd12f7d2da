"""The process around the node: DDS profile, shared memory, data files, values, guard, exit."""
