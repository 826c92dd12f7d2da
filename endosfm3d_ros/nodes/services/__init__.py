"""Services of the node, whose work is done between two frames."""
