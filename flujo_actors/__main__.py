"""`python -m flujo_actors` is `flujo`."""

import sys

from flujo_actors.cli import main

if __name__ == "__main__":
    sys.exit(main())
