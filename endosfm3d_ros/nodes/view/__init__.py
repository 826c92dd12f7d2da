"""The live page: listens to the node's topics and shows them in a browser."""
