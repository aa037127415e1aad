"""Every benchmark of the plugins. To add one: a module beside this one with a ``BENCHMARK``, and its name here."""

from __future__ import annotations

from importlib import import_module

from integrations.bench import Benchmark

MODULES = ("coinzz", "facebook", "report", "whatsapp")


def all_benchmarks() -> list[Benchmark]:
    """Those whose module is there; one module may hold several, in ``BENCHMARKS``."""
    found: list[Benchmark] = []
    for name in MODULES:
        try:
            module = import_module(f"integrations.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"integrations.{name}":
                raise
            continue
        found += getattr(module, "BENCHMARKS", None) or [module.BENCHMARK]
    return found
