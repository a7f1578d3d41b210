"""The authorization of unit tests: some users may do everything, and others nothing."""

from spillway.kube.access import Access, User, Verdict


class FakeRights:
    """An authorizer that allows the users of these names, and remembers what it was asked."""

    def __init__(self, *allowed: str, verdict: Verdict = Verdict.ALLOWED) -> None:
        """`verdict` is the answer about the `allowed`."""
        self.allowed = frozenset(allowed)
        self.verdict = verdict
        self.asked: list[tuple[str, Access]] = []

    async def authorize(self, user: User, access: Access) -> Verdict:
        """As `DelegatedAccess.authorize`."""
        self.asked.append((user.name, access))
        return self.verdict if user.name in self.allowed else Verdict.FORBIDDEN
