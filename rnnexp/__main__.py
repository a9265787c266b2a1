import gc

gc.disable()  # until the run begins: nothing that is made on the way to it is garbage, and looking for it takes time

import sys  # noqa: E402

from rnnexp.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
