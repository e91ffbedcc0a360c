"""`python -m snapproxy`."""

from __future__ import annotations

import sys

from snapproxy.cli import main

sys.exit(main())
