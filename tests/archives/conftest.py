"""Makes a failing contract show its values, as a test module's own asserts do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.archives.contract")
