"""`python -m rnnexp.compare`: which is better? See rnnexp/comparing."""

import sys

from rnnexp.comparing.command import main

if __name__ == "__main__":
    sys.exit(main())
