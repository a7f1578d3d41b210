"""What became of planned scale-downs, told from plans and from pods that go, in whatever order news of them comes."""

import pytest

from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.scale_down.outcome import EARLY_SECONDS, FOLLOW_SECONDS, Following, Gone, ScaleDowns

WEB, API = OwnerUid("web"), OwnerUid("api")


class Scene:
    """Pods are named by letters; time passes where a test says so."""

    def __init__(self) -> None:
        self.following = Following()
        self.now = 1000.0
        self.counted: list[str] = []

    def plan(self, victims: str, *, owner: OwnerUid = WEB, at: float | None = None) -> None:
        uids = [PodUid(letter) for letter in victims]
        made_at = self.now if at is None else at
        self._note(*self.following.plan(owner, "online", uids, at=made_at, now=self.now))

    def gone(self, pods: str, *, owner: OwnerUid = WEB) -> None:
        for letter in pods:
            self._note(self.following.gone(owner, PodUid(letter), now=self.now))

    def _note(self, *gone: Gone | None) -> None:
        self.counted += ["planned" if one.as_planned else "other" for one in gone if one is not None]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_pods_that_go_are_counted_by_the_plan(scene: Scene) -> None:
    scene.plan("abc")
    scene.gone("bxa")
    assert scene.counted == ["planned", "other", "planned"]


def test_as_many_as_were_planned_and_no_more(scene: Scene) -> None:
    scene.plan("ab")
    scene.gone("ab")
    scene.gone("c")
    assert scene.counted == ["planned", "planned"], "c was deleted by someone for reasons of his own"


def test_a_further_plan_joins_the_one_under_way(scene: Scene) -> None:
    scene.plan("ab")
    scene.gone("a")
    scene.plan("cd")
    scene.gone("cbd")
    assert scene.counted == ["planned"] * 4


def test_other_replicasets_are_no_matter_of_it(scene: Scene) -> None:
    scene.plan("ab")
    scene.gone("a", owner=API)
    assert scene.counted == []
    scene.plan("ab", owner=API)
    assert scene.counted == ["planned"]


def test_news_of_the_plan_may_come_late(scene: Scene) -> None:
    made_at = scene.now
    scene.now += 0.2
    scene.gone("ax")
    scene.now += EARLY_SECONDS - 0.1
    scene.plan("abc", at=made_at)
    scene.gone("bc")
    assert scene.counted == ["planned", "other", "planned"], "c is one more than were to go: x went in its place"


def test_who_went_before_a_plan_was_made_was_not_its_victim(scene: Scene) -> None:
    scene.gone("x")
    scene.now += 1
    scene.plan("ab")
    assert scene.counted == []


def test_a_plan_that_is_not_carried_out_is_forgotten(scene: Scene) -> None:
    scene.plan("ab")
    scene.gone("a")
    scene.now += FOLLOW_SECONDS + 1
    scene.gone("b")
    assert scene.counted == ["planned"]


def test_counts_add_up() -> None:
    total = ScaleDowns(3, 2).plus(ScaleDowns(1, 1))
    assert total == ScaleDowns(4, 3)
    assert total.minus(ScaleDowns(3, 2)) == ScaleDowns(1, 1)
