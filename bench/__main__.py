"""`python -m bench`: lists the scenarios, or runs them."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
