from platform import python_version

from spillway import __version__
from spillway.telemetry.build import set_build_info
from spillway.telemetry.registry import REGISTRY


def test_the_versions_of_the_process_are_exported() -> None:
    set_build_info()

    labels = {"version": __version__, "python_version": python_version()}
    assert REGISTRY.get_sample_value("spillway_build_info", labels) == 1
