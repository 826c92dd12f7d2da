"""Errors whose text is one sentence a user can act on."""


class EndoError(Exception):
    """Base of every error that the command line prints without a traceback."""


class InputError(EndoError):
    """Input data is unusable; the message names the value and what is accepted."""


class ConfigurationError(EndoError):
    """A parameter, file or package needed for the chosen configuration is missing or wrong."""
