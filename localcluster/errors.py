"""What can go wrong, said so that the reader knows what to do next."""


class ClusterError(RuntimeError):
    """The local cluster cannot do what was asked; the message says why and, where it helps, quotes a log."""


class FeatureMissing(ClusterError):  # noqa: N818  named after what it means to a test: skip, not fail
    """This cluster lacks a part that the caller needs (a test skips with this message)."""
