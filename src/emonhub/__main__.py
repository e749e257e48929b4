"""`python -m emonhub` is the same as `emonhub`."""

import sys

from emonhub.cli import main

sys.exit(main())
