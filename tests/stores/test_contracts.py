"""The local store passes the contract tests."""

from tests.stores.contracts import (
    BlobsContract,
    CatalogContract,
    CountersContract,
    ExpiringContract,
    JournalsContract,
    SlotsContract,
    TablesContract,
)
from tests.stores.drafts_contract import DraftsContract
from tests.stores.eviction_contract import AllJournalsContract, EvictionContract, ScanContract
from tests.stores.space_contract import FloorContract, ServedContract, SpaceContract


class TestLocalBlobs(BlobsContract): ...


class TestLocalDrafts(DraftsContract): ...


class TestLocalCatalog(CatalogContract): ...


class TestLocalEphemera(ExpiringContract): ...


class TestLocalTables(TablesContract): ...


class TestLocalSlots(SlotsContract): ...


class TestLocalJournals(JournalsContract): ...


class TestLocalSpace(SpaceContract): ...


class TestLocalFloor(FloorContract): ...


class TestLocalServedTimes(ServedContract): ...


class TestLocalCounters(CountersContract): ...


class TestLocalEviction(EvictionContract): ...


class TestLocalCatalogScan(ScanContract): ...


class TestAllLocalJournals(AllJournalsContract): ...
