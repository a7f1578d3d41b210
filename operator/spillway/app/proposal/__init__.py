"""The comparison of the present resources with proposed ones, by the planners of production."""
