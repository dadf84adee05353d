"""``python -m bayes_msem`` is the command ``bayes_msem``."""

import sys

from bayes_msem.command_line import main

if __name__ == "__main__":
    sys.exit(main())
