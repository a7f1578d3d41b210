"""Spillway in a cluster as its users have it: installed from the chart, with the rights of the chart's ServiceAccount.

Contract: nothing here reaches into the operator. What is installed are the chart's rendered objects; what runs are
`spillway` processes that see the API server through a ServiceAccount's kubeconfig, and the API server calls them
through the chart's webhook configurations. Only the Deployment is replaced: its pods would be pretended by kwok, so the
harness runs them as local processes.
"""

from harness.chart import Chart
from harness.operator import Installation, install
from harness.proxy import Proxy
from harness.samples import Samples

__all__ = ["Chart", "Installation", "Proxy", "Samples", "install"]
