"""``python -m server.cli`` is ``depgraph``."""

import sys

from server.cli.entry import main

sys.exit(main())
