"""`ditto certify`: certificates for the parties and callers of a hosts file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click


@click.command("certify")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=365,
    show_default=True,
    help="Days that the certificates are valid.",
)
@click.option(
    "--renew", is_flag=True, help="Replace each NAME's host.pem by a new certificate for the same key."
)
def certify_command(folder: Path, names: tuple[str, ...], days: int, renew: bool) -> None:
    """Make the certificates of parties and callers, and the authority that signs them.

    The authority is in FOLDER, and is made if there is none. Each NAME gets a folder of its own in it, with
    the files that its machine needs. A NAME is an address of IP, a URI (with ://) or a host name; it is the
    one name in the certificate, and what hosts and access files call its holder. Nothing is overwritten
    without --renew, for which NAME's key need not be in FOLDER any more.
    """
    from ditto.runtime.transport.certificates import (
        AUTHORITY_CERTIFICATE,
        AUTHORITY_KEY,
        CERTIFICATE,
        KEY,
        Authority,
        CertificateError,
        general_name,
    )

    # What is wrong with any of them is found before anything is written.
    plain = [str(general_name(name).value) for name in names]
    folders: dict[Path, str] = {}
    for name in plain:
        own = folder / re.sub(r"[^A-Za-z0-9._-]", "_", name)
        if own in folders:
            raise CertificateError(f"'{folders[own]}' and '{name}' would share the folder '{own}'")
        if not renew and os.path.lexists(own):
            raise CertificateError(
                f"'{own}' exists; --renew makes a new certificate for its key, and without that folder "
                "there will be a new key, too"
            )
        folders[own] = name
    files = (AUTHORITY_CERTIFICATE, AUTHORITY_KEY)
    if renew or any(os.path.lexists(folder / file) for file in files):
        authority = Authority.load(folder)
    else:
        authority = Authority.make(folder)
        click.echo(f"{folder / AUTHORITY_CERTIFICATE}: the authority that all machines trust")
        click.echo(f"{folder / AUTHORITY_KEY}: its private key; keep it here, no machine needs it")
    if renew:
        for own, name in folders.items():
            authority.check_renewal(name, own)
        for own, name in folders.items():
            until = authority.renew(name, own, days=days).not_valid_after_utc.date()
            click.echo(f"{own / CERTIFICATE}: certificate of {name} until {until}; copy it to its machine")
        return
    for own, name in folders.items():
        until = authority.issue(name, own, days=days).not_valid_after_utc.date()
        click.echo(f"{own / AUTHORITY_CERTIFICATE}: the authority, for {name}")
        click.echo(f"{own / CERTIFICATE}: certificate of {name} until {until}")
        click.echo(f"{own / KEY}: its private key, for nobody else")
    click.echo("Copy the files of each NAME to its machine, beside hosts.toml, and delete its host.key here.")
