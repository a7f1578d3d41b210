"""Errors that are reported as one line, without a traceback; importing this loads nothing else."""


class SettingsError(ValueError):
    """A flag or an environment variable has a value that cannot be used."""


class NotFoundError(Exception):
    """What was asked for does not exist; the message says what does."""


class UnreadableError(Exception):
    """Something besides the API server could not be read; the message says what."""
