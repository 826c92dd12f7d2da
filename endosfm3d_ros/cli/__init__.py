"""Floor 6: the `endosfm3d` command. One module per subcommand; each has `register(app)`."""
