"""What a producer knows of its tries: a line before, a line after, each on the disk before anything else happens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flowzz.errors import FlowzzError, QueueUnavailable


class Answer(StrEnum):
    """``ACK``: accepted. ``ERROR``: refused, not stored. ``UNKNOWN``: no answer, or the producer died waiting."""

    ACK = "ACK"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Try:
    """The last try with this id."""

    job_id: str
    nonce: str
    answer: Answer


class ProducerLog:
    """The file at ``path``; several processes may append."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @contextmanager
    def trying(self, *tries: tuple[str, str]) -> Iterator[None]:
        """(id, nonce) of what the block enqueues in one call: all of it is accepted, or none."""
        self._note(tries, Answer.UNKNOWN)
        try:
            yield
        except QueueUnavailable:
            raise
        except FlowzzError:
            self._note(tries, Answer.ERROR)
            raise
        self._note(tries, Answer.ACK)

    def tries(self) -> dict[str, Try]:
        """By id. What was acknowledged once stays so."""
        found: dict[str, Try] = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            job_id, nonce, answer = json.loads(line)
            if job_id not in found or found[job_id].answer is not Answer.ACK:
                found[job_id] = Try(job_id, nonce, Answer(answer))
        return found

    def _note(self, tries: tuple[tuple[str, str], ...], answer: Answer) -> None:
        lines = "".join(json.dumps([job_id, nonce, answer]) + "\n" for job_id, nonce in tries)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, lines.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
