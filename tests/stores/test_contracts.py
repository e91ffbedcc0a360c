"""The local store fulfils the contracts of the protocols."""

from tests.stores.contracts import (
    BlobsContract,
    CatalogContract,
    EphemeraContract,
    JournalsContract,
    SlotsContract,
    TablesContract,
)
from tests.stores.drafts_contract import DraftsContract


class TestLocalBlobs(BlobsContract): ...


class TestLocalDrafts(DraftsContract): ...


class TestLocalCatalog(CatalogContract): ...


class TestLocalEphemera(EphemeraContract): ...


class TestLocalTables(TablesContract): ...


class TestLocalSlots(SlotsContract): ...


class TestLocalJournals(JournalsContract): ...
