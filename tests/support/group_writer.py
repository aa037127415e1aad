"""A process whose threads write without end and tell each number once it is written, until somebody kills it.

python -m support.group_writer HOME PLACE
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from threading import Thread

from sqlalchemy import text

from flowzz.settings import Settings
from flowzz.store import Store

THREADS = 8
ROOM = 1_000_000


def main(home: str, place: str) -> None:
    store = Store.open(Settings.load(home=Path(home)))
    numbers = itertools.count(int(place) * ROOM)

    def write() -> None:
        for number in numbers:
            store.write(lambda session, n=number: session.execute(text("INSERT INTO notes VALUES (:n)"), {"n": n}))  # type: ignore[misc]
            os.write(1, f"{number}\n".encode())

    threads = [Thread(target=write) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
