import json
from contextlib import closing
from pathlib import Path

from demo.audit import AuditLog
from demo.contenders import Contender


def line(verb: str, resource: str, user: str = "u", code: int = 200, **ref: str) -> str:
    group, _, sub = resource.partition("/")
    reference = {"resource": group, "subresource": sub, "namespace": "day-plain", "name": "p", **ref}
    entry = {
        "kind": "Event",
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": user, "groups": ["g"]},
        "objectRef": reference,
        "responseStatus": {"code": code},
        "requestObject": {"any": ["thing"]},
    }
    return json.dumps(entry) + "\n"


def test_counts_accepted_writes_by_user_and_resource(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(line("patch", "pods") + line("patch", "pods/status") + line("patch", "pods", code=409))
    with closing(AuditLog(path)) as log:
        assert log.read() == 3
    assert log.writes("u", Contender.PLAIN).by_resource == {"pods": 1, "pods/status": 1}
    assert log.writes("u", Contender.PLAIN).refused == 1


def test_reviews_store_nothing_and_are_no_writes(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(
        line("create", "tokenreviews") + line("create", "subjectaccessreviews") + line("patch", "replicasets")
    )
    with closing(AuditLog(path)) as log:
        assert log.read() == 3
    assert log.writes("u", Contender.PLAIN).by_resource == {"replicasets": 1}


def test_reads_on_where_it_stopped_also_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    whole = line("patch", "pods")
    path.write_text(whole + whole[:20])
    with closing(AuditLog(path)) as log:
        assert log.read() == 1
        with path.open("a") as file:
            file.write(whole[20:] + whole)
        assert log.read() == 2
        assert log.read() == 0
    assert log.writes("u", Contender.PLAIN).total == 3


def test_evictions_belong_to_the_contender_and_deletions_to_who_deleted(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(
        line("create", "pods/eviction")
        + line("create", "pods/eviction", namespace="kube-system")
        + line("delete", "pods", user="system:serviceaccount:kube-system:replicaset-controller", name="gone")
    )
    with closing(AuditLog(path)) as log:
        log.read()
    assert log.evictions == dict.fromkeys(Contender, 0) | {Contender.PLAIN: 1}
    assert log.deleted_by == {("day-plain", "gone"): "system:serviceaccount:kube-system:replicaset-controller"}


def test_goes_on_with_the_new_file_when_the_server_renamed_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(line("patch", "pods"))
    with closing(AuditLog(path)) as log:
        assert log.read() == 1
        with path.open("a") as file:
            file.write(line("patch", "pods"))
        path.rename(tmp_path / "audit-old.log")
        path.write_text(line("patch", "pods") * 3)
        assert log.read() == 4
        assert log.writes("u", Contender.PLAIN).total == 5


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert AuditLog(tmp_path / "none").read() == 0
