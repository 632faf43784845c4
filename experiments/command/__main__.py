"""`python -m experiments.command` is `overunlearn`, where that is not installed."""

from experiments.command import main

if __name__ == "__main__":
    main()
