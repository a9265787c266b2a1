import sys

from rnnexp.compare.command import main

if __name__ == "__main__":
    sys.exit(main())
