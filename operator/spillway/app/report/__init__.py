"""The report of a cluster: what is read, the charts, the page, and the server of the page."""
