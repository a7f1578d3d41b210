"""Entry point of `python -m spillway`: the same command as `spillway`."""

from spillway.cli import main

if __name__ == "__main__":
    main()
