"""The report format `markdown`: for comments on pull requests."""

from __future__ import annotations

from ditto_compiler.report.summary import Report


def write(report: Report) -> str:
    """A table of what each kind of op costs."""
    lines = [
        f"**{report.program}** under `{report.policy}`: {report.cost.total.bytes:,.0f} bytes per party",
        "",
        "| op | times | bytes |",
        "|---|---:|---:|",
    ]
    lines += [f"| {op} | {count} | {cost.bytes:,.0f} |" for op, count, cost in report.by_op()]
    return "\n".join(lines) + "\n"
