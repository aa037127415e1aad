"""``flowzz keys``."""

from __future__ import annotations

import click
from cryptography.fernet import Fernet

from flowzz.cli.session import Session, pass_session
from flowzz.settings import Settings
from flowzz.store.keys import load_keys
from flowzz.store.private_files import exclusive, write_once


@click.group("keys")
def command() -> None:
    """Rotate the key of stored credentials."""


@command.command("rotate")
@pass_session
def rotate(session: Session) -> None:
    """Encrypt every stored credential with a new key.

    The new key is made in the home folder; older ones stay behind it, so that backups can be read. When
    FLOWZZ_ENCRYPTION_KEYS is set, put the new key in front there yourself; this then encrypts with it.
    """
    settings = session.settings
    if settings.encryption_keys is None:
        _put_new_key_in_front(settings)
    with session.store() as store:
        count = store.reencrypt()
        store.record_audit("cli", "keys.rotate", "encryption", {"connections": count})
    click.echo(f"credentials of {count} connections are under the newest key; restart running Flowzz processes now")


def _put_new_key_in_front(settings: Settings) -> None:
    load_keys(settings)  # makes the file when this is the first use
    path = settings.data_folder / "keys" / "encryption.keys"
    with exclusive(path.parent / ".lock"):
        older = path.read_text("ascii").strip()
        write_once(path, f"{Fernet.generate_key().decode()}\n{older}\n")
