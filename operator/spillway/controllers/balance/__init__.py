"""The status of ZonalBalances."""
