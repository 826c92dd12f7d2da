"""One module per back end, named after it, with a function `create() -> BackEnd`."""
