"""The aggregated API `external.metrics.k8s.io`: the recommended replicas as a metric for HorizontalPodAutoscalers."""
