"""``python tether.py PARENT SIGNAL COMMAND …``: become COMMAND, which gets SIGNAL the moment PARENT dies.

A script of its own, run before every child, because the kernel's tie (``prctl(PR_SET_PDEATHSIG)``) must be made inside
the child, survives ``exec``, and doing it between fork and exec of a process with threads may hang. The tie is to the
*thread* that forked: spawn children from a thread that lives as long as its process. Only Linux has it.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def tie_to(parent: int, signal_number: int) -> None:
    """Get ``signal_number`` when ``parent`` dies; exit at once when it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        sys.exit(1)


def adopt_orphans() -> None:
    """From now on descendants whose parent ends become our children, daemons too, instead of the system's (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def main(parent: str, signal_number: str, *command: str) -> None:
    tie_to(int(parent), int(signal_number))
    try:
        os.execvp(command[0], command)  # noqa: S606 - that is the point
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
