"""Benchmarks of the plugins against their own sandboxes on this machine: ``make bench ARGS=--integrations``."""
