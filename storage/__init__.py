"""How bytes and names lie on disk. Knows no distribution and no HTTP. snapproxy reaches it through this file only."""

from storage.protocols import Slot, StorageFailure

__all__ = ["Slot", "StorageFailure"]
