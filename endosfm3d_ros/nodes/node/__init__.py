"""The lifecycle node: its parameters, its transitions and how it is launched."""
