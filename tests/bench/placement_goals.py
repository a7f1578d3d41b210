"""From the sections of `bench_placement` to the figures asked for, and each goal beside what was measured. Pure."""

from typing import Any, Final

WRONG_TIER_PERCENT: Final = 1.0
OVER_CLAIRVOYANT: Final = 1.05

Sections = dict[str, Any]


def headline(sections: Sections) -> dict[str, Any]:
    """The keys that are asked for; one is absent where its section did not run."""
    found: dict[str, Any] = {}
    if (day := sections.get("day")) is not None:
        tiers = day["wrong_tier_percent"]
        found["wrong_tier_percent"] = {
            **{name: tiers[name] for name in ("mean", "of_pod_minutes", "max", "minutes_above_1_percent")},
            "at_rest": {when: rest["percent"] for when, rest in tiers["at_rest"].items()},
        }
        names = ("all_owned", "all_virtual", "spillway", "clairvoyant")
        ratios = ("spillway_over_clairvoyant", "spillway_virtual_over_clairvoyant")
        found["cost"] = {name: day["cost"][name] for name in (*names, *ratios)}
    breaches = budget_breaches(sections)
    if breaches is not None:
        found["budget_breaches"] = breaches
    if (failover := sections.get("failover")) is not None:
        found["failover_seconds"] = failover["seconds"]
    if (burst := sections.get("burst")) is not None:
        found["burst"] = {
            "error_percent": burst["error_percent"],
            "error_percent_with_one_operator": burst["by_operator_replicas"]["1"]["error_percent"],
        }
    return found


def budget_breaches(sections: Sections) -> int | None:
    """Moments at which a pool was beyond a limit, in every section that has limits."""
    counted = []
    if (day := sections.get("day")) is not None:
        counted.append(day["budget_breaches"])
    if (burst := sections.get("burst")) is not None:
        counted.append(len(burst["against_a_limit"]["breaches"]))
    return sum(counted) if counted else None


def goals(sections: Sections) -> list[dict[str, Any]]:
    """Each goal, what was measured, and whether it was met."""
    found: list[dict[str, Any]] = []

    def goal(words: str, measured: float, *, met: bool) -> None:
        found.append({"goal": words, "measured": measured, "met": met})

    if (day := sections.get("day")) is not None:
        tiers, over = day["wrong_tier_percent"], day["cost"]["spillway_over_clairvoyant"]
        goal(
            "pods in the wrong tier, at every minute: at most 1 %",
            tiers["max"],
            met=tiers["max"] <= WRONG_TIER_PERCENT,
        )
        resting = max(rest["percent"] for rest in tiers["at_rest"].values())
        goal("pods in the wrong tier at rest: 0 %", resting, met=resting == 0)
        goal("cost of the day: within 5 % of the clairvoyant's", over, met=over <= OVER_CLAIRVOYANT)
    breaches = budget_breaches(sections)
    if breaches is not None:
        goal("moments beyond a limit: 0", breaches, met=breaches == 0)
    if (burst := sections.get("burst")) is not None:
        error = burst["error_percent"]
        goal("pods of a burst in the wrong tier, with two operators: 0 %", error, met=error == 0)
    return found
