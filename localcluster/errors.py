"""The errors of a local cluster, with messages that say what to do."""


class ClusterError(RuntimeError):
    """The local cluster cannot do what was requested; the message says why and may quote a log."""


class FeatureMissing(ClusterError):  # noqa: N818  named after what it means to a test: skip, not fail
    """This cluster lacks a part that the caller needs (a test skips with this message)."""
