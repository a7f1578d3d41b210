"""The kopf handlers and lists of Spillway's three kinds, which feed the catalog."""
