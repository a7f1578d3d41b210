"""The harness: Spillway installed from its chart in a cluster, with the permissions of the chart's ServiceAccount.

Contract: nothing here uses the operator's internals. The chart's rendered objects are installed; `spillway` processes
use the API server through a ServiceAccount's kubeconfig, and the API server calls them through the chart's webhook
configurations. Only the Deployment is replaced: kwok would simulate its pods, so the harness runs them as local
processes.
"""

from harness.chart import Chart
from harness.operator import Installation, install
from harness.proxy import Proxy, ServiceProxy
from harness.samples import Samples

__all__ = ["Chart", "Installation", "Proxy", "Samples", "ServiceProxy", "install"]
