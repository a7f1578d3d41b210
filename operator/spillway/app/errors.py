"""Errors of the process that are reported as one line, without a traceback; importing this loads nothing else."""


class SettingsError(ValueError):
    """A flag or an environment variable has a value that cannot be used."""
