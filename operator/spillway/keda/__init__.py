"""KEDA's external scaler over gRPC: the recommended replicas for clusters in which KEDA serves external metrics."""
