"""`python -m rnnexp.compare`, the older spelling of `rnnexp compare`."""

import sys

if __name__ == "__main__":
    from rnnexp.comparing.command import main

    sys.exit(main())

# Whoever imports this module sets `rnnexp.compare`, which is a function: so the function takes the module's place.
if __name__ == "rnnexp.compare":
    from rnnexp.api import compare

    sys.modules[__name__] = compare  # type: ignore[assignment]
