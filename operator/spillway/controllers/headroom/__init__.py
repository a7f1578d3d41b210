"""The controller of headroom: it sizes the headroom of each policy and keeps the objects that hold it."""
