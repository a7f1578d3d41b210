"""The status of ElasticPolicies: which workloads they govern, and what is wrong with them."""
