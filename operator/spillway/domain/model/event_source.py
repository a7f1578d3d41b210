"""The name under which the operator reports Events.

Contract: the value of `reportingController`, which is written by the recorder and read by `spillway explain`. It shows
who meant to report an Event, and proves nothing: any client may write it.
"""

from typing import Final

REPORTING_CONTROLLER: Final = "spillway.dev/operator"
