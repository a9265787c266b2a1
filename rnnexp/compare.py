"""`python -m rnnexp.compare`, the older spelling of `rnnexp compare`."""

import sys

from rnnexp.comparing.command import main

if __name__ == "__main__":
    sys.exit(main())
