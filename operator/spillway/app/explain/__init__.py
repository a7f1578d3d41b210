"""The work behind `spillway explain`: a snapshot of a cluster, and the production planners' answers about it."""
