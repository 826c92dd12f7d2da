"""rosbag2 recordings, read without ROS."""
