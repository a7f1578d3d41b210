from harness import Samples

TEXT = """\
# HELP spillway_admission_requests_total Requests.
# TYPE spillway_admission_requests_total counter
spillway_admission_requests_total{webhook="bindings",outcome="stamped"} 3.0
spillway_admission_requests_total{webhook="bindings",outcome="let-go"} 1.0
spillway_admission_requests_total{webhook="nodes",outcome="stamped"} 5.0
# HELP spillway_leader 1 while this process holds the Lease.
# TYPE spillway_leader gauge
spillway_leader 1.0
"""


def test_totals_sum_over_the_labels_that_are_not_named() -> None:
    samples = Samples.parse(TEXT)

    assert samples.total("spillway_admission_requests_total") == 9
    assert samples.total("spillway_admission_requests_total", webhook="bindings") == 4
    assert samples.total("spillway_admission_requests_total", webhook="bindings", outcome="let-go") == 1
    assert samples.total("spillway_leader") == 1


def test_what_is_not_exported_counts_nothing() -> None:
    assert Samples.parse(TEXT).total("spillway_nowhere_total") == 0
