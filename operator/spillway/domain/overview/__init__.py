"""The overview of an installation: its policies, pools and zones, the savings, and what needs attention."""
