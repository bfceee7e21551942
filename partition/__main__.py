"""``python -m partition`` is ``marconi-partition``."""

import sys

from partition.serving.cli import main

if __name__ == "__main__":
    sys.exit(main())
