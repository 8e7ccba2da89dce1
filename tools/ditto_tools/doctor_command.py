"""`ditto doctor`: what stands between a caller and the parties of a hosts file."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import click


@click.command("doctor")
@click.argument("hosts", type=click.Path(path_type=Path))
@click.option("--rank", type=int, help="On a party's machine: which party of HOSTS it is.")
@click.option("--timeout", default=10.0, show_default=True, help="Seconds that all checks may take together.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of findings as JSON.")
def doctor_command(hosts: Path, rank: int | None, timeout: float, as_json: bool) -> None:
    """Check files, certificates, connections, clocks and versions, and say what to do about it.

    Run it on a caller's machine; or on a party's, with --rank, whether that party is running or not. Nothing
    is run and nothing is changed. Exits with 1 if a check failed.
    """
    from ditto.runtime.caller.doctor import examine

    findings = examine(hosts, rank, timeout)
    failed = sum(finding.state == "failed" for finding in findings)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            state = "FAILED" if finding.state == "failed" else finding.state
            click.echo(f"{state:8}{finding.where:9}{finding.check}: {finding.found}")
            if finding.remedy:
                click.echo(f"{'':17}{finding.remedy}")
        warnings = sum(finding.state == "warning" for finding in findings)
        click.echo(f"{len(findings)} checks, {failed} failed, {warnings} warnings")
    # Whatever is still silent is not waited for.
    sys.exit(1 if failed else 0)
