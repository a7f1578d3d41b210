"""The checks of `spillway doctor`: what is wrong with an installation or its surroundings, each with its remedy."""
