"""The demo: a compressed day on a real control plane, with several contenders side by side.

Contract: nothing in here is part of the operator. `scenario` defines the day (pure, seeded), `manifests` the objects in
the cluster, `past` and `foresight` give the operator the demand of the days before, `driver` plays the load, `observe`
and `audit` watch what Kubernetes does, `scaledowns` and `measure` evaluate it (pure), `view` and `report` show it.
`python -m demo` and the scale-down bench are the two users of `day`.
"""
