"""The clock of the leader, by its Lease."""

import pytest

from spillway.domain.doctor.clocks import check_leader_clock
from spillway.domain.model.documents import Json


def lease(renewed: str, written: str | None, field: str = "f:renewTime") -> Json:
    fields = [] if written is None else [{"time": written, "fieldsV1": {"f:spec": {field: {}}}}]
    other = {"time": "2026-01-05T13:00:00Z", "fieldsV1": {"f:metadata": {"f:annotations": {}}}}
    metadata = {"namespace": "spillway-system", "name": "spillway", "managedFields": [*fields, other]}
    return {"metadata": metadata, "spec": {"renewTime": renewed}}


@pytest.mark.parametrize(
    ("renewed", "written", "told"),
    [
        ("2026-01-05T12:00:00.500000Z", "2026-01-05T12:00:00Z", None),
        ("2026-01-05T11:59:52.000000Z", "2026-01-05T12:00:00Z", None),
        ("2026-01-05T12:00:30.000000Z", "2026-01-05T12:00:00Z", "30 s ahead of"),
        ("2026-01-05T11:58:00.000000Z", "2026-01-05T12:00:00Z", "120 s behind"),
        ("2026-01-05T11:58:00.000000Z", None, None),
        ("never", "2026-01-05T12:00:00Z", None),
    ],
)
def test_the_time_that_the_leader_wrote_against_that_of_the_api_server(
    renewed: str, written: str | None, told: str | None
) -> None:
    found = list(check_leader_clock(lease(renewed, written)))
    assert [told in one.message for one in found if told] == ([True] if told else [])
    assert len(found) == (told is not None)
    assert all(one.object == "Lease/spillway-system/spillway" for one in found)


def test_a_write_of_something_else_says_nothing() -> None:
    assert not list(check_leader_clock(lease("2026-01-05T11:00:00Z", "2026-01-05T12:00:00Z", field="f:holderIdentity")))
