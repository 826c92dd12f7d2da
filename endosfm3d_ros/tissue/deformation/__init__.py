"""How tissue moves: the graph, the motion that images show, and the solver."""
