"""The work behind `spillway doctor`: what is read for each check, and what was found."""
