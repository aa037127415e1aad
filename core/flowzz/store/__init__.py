"""What Flowzz keeps: companies, their connections with encrypted credentials, users and the audit trail."""

from flowzz.store.columns import UtcDateTime
from flowzz.store.store import Store

__all__ = ["Store", "UtcDateTime"]
