"""What keeps ``flowzz up`` standing: the bundled Valkey, and the tree of processes around it."""

from flowzz.supervision.bundled import BundledValkey
from flowzz.supervision.program import Program
from flowzz.supervision.tree import Child, Tree

__all__ = ["BundledValkey", "Child", "Program", "Tree"]
