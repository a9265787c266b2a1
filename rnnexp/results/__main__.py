import sys

from rnnexp.results.command import main

if __name__ == "__main__":
    sys.exit(main())
