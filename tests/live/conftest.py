from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.hamlet import Edition
from tests.fakes.present import Present


@pytest.fixture
def split(edition: Edition) -> Iterator[Present]:
    """An archive without InRelease."""
    present = Present(edition.key, has_inrelease=False)
    yield present
    present.close()
