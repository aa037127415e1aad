"""Coinzz for Flowzz: sales come in by webhook, by hourly sync and by CSV, and end as one row an order."""
