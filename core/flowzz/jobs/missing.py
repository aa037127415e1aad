"""What to install for a job that nobody registers."""

from __future__ import annotations


def distribution_of(job: str) -> str:
    """``whatsapp.send_message`` → ``flowzz-whatsapp``: the rightful owner of that name (``plugins.discovery``)."""
    return f"flowzz-{job.partition('.')[0].replace('_', '-')}"
