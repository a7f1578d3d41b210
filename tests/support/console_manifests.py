"""Manifests of the world in which the console blocks of the documents run."""

from typing import Final

SHOP: Final = """
apiVersion: spillway.dev/v1alpha1
kind: VirtualNodeBudget
metadata: {name: eci-a}
spec:
  nodeSelector: {matchLabels: {type: virtual-kubelet, provider: eci-a}}
  cordon: None
  limits: {pods: 2000, cpu: "1000"}
  price: {currency: CNY, cpuHour: "0.35", memoryGiBHour: "0.044"}
  failover: {unhealthyAfter: 1s, startAfter: 30s, retryAfter: 5s}
---
apiVersion: spillway.dev/v1alpha1
kind: VirtualNodeBudget
metadata: {name: tke-b}
spec:
  nodeSelector: {matchLabels: {type: virtual-kubelet, provider: tke-b}}
  cordon: None
---
apiVersion: spillway.dev/v1alpha1
kind: ElasticPolicy
metadata: {name: online}
spec:
  mode: Enforce
  tiers:
    elastic: {nodeSelector: {matchLabels: {pool: elastic}}}
    virtual: {budgets: [eci-a, tke-b]}
  workloads:
  - name: default
    match: {namespaces: {matchLabels: {kubernetes.io/metadata.name: default}}}
    threshold: {mode: Manual, replicas: 2}
"""
"""The pools, the policy and the workload of which the how-to guides speak."""

CART: Final = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: NAMESPACE}
spec:
  replicas: 6
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: main, image: cart, resources: {requests: {cpu: 500m, memory: 64Mi}}}
"""

CERT_MANAGER: Final = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.cert-manager.io}
spec:
  group: cert-manager.io
  scope: Namespaced
  names: {kind: KIND, plural: PLURAL}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
