"""What Flowzz keeps: companies, their connections with encrypted credentials, users and the audit trail."""

from flowzz.store.columns import Money, UtcDateTime
from flowzz.store.records import AuditEntry, Company, Role, User
from flowzz.store.store import Store

__all__ = ["AuditEntry", "Company", "Money", "Role", "Store", "User", "UtcDateTime"]
