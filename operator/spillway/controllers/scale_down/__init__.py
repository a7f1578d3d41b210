"""Scale-downs: the upkeep of stored deletion costs, and the part of the status."""
