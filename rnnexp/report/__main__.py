import sys

from rnnexp.report.command import main

if __name__ == "__main__":
    sys.exit(main())
