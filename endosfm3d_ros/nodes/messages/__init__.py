"""The core's types as ROS messages, and back."""
