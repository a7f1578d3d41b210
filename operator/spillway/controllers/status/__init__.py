"""The status of Spillway's resources, collected from the parts that the features contribute."""
