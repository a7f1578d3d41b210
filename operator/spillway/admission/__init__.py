"""The admission server: TLS, AdmissionReview, deadlines, and requests between replicas."""
