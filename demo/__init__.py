"""A compressed day on a real control plane, lived through by several contenders side by side.

Contract: nothing in here is part of the operator. `scenario` says what the day is (pure, seeded), `manifests` what is
laid into the cluster, `driver` plays the load, `observe` and `audit` watch what Kubernetes does with it, `scaledowns`
and `measure` judge that (pure), `view` and `report` show it. `python -m demo` and the scale-down bench are the two
users of `day`.
"""
