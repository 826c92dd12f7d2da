"""Floor 5: everything that speaks ROS 2."""
