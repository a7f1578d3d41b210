"""The thresholds' plan: what is asked of it, how it is made beside the event loop, kept, published and told."""
