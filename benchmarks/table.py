"""The figures as text for the terminal and as Markdown for the documentation, both from what the JSON file holds.

It needs the standard library only, so that the documentation is built without running anything.
"""

from html import escape
from itertools import groupby
from typing import Any

HEAD = ("", "median (least - most)", "ratio (least - most)", "compared with", "target")
QUOTABLE = 7  # rounds
VERDICTS = {True: "met", False: "MISSED", None: "not judged"}


def text(content: dict[str, Any]) -> str:
    """Lay the rows out case by case, a note below its row."""
    cells = [_cells(row) for row in content["rows"]]
    widths = [max(len(line[n]) + 2 * (n == 0) for line in (HEAD, *cells)) for n in range(len(HEAD))]

    def line(parts: tuple[str, ...]) -> str:
        return "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()

    lines = [line(HEAD), "-" * (sum(widths) + 2 * len(widths) - 2)]
    for case, rows in groupby(content["rows"], key=lambda row: row["case"]):
        lines.append(case)
        for row in rows:
            subject, *others = _cells(row)
            lines += [line((f"  {subject}", *others))] + [f"    {row['note']}"] * bool(row["note"])
    return "\n".join([*lines, *_missing(content), summary(content)])


def markdown(content: dict[str, Any]) -> str:
    """Return date, commit, machine and one table a case; what fell short stands out."""
    facts = [("date", content["date"]), ("commit", content["commit"]), *content["machine"].items()]
    parts = [
        escape(summary(content)).replace("MISSED", "**MISSED**"),
        "\n".join(_table(("measured", "on"), facts)),
        *map(escape, _missing(content)),
    ]
    for case, rows in groupby(content["rows"], key=lambda row: row["case"]):
        title, _, part = case.partition(": ")
        parts.append(f"### {title}: {part}" if part else f"### {title}")
        parts.append("\n".join(_table(HEAD, [_markdown_cells(row) for row in rows])))
    return "\n\n".join(parts) + "\n"


def summary(content: dict[str, Any]) -> str:
    """Say in a sentence how many targets are met and which are not."""
    judged = [row for row in content["rows"] if row["met"] is not None]
    missed = [f"{row['case']} ({row['subject']}, {_target(row)})" for row in judged if not row["met"]]
    sentence = f"{len(judged) - len(missed)} of {len(judged)} targets are met."
    return sentence + (f" MISSED: {'; '.join(missed)}." if missed else "")


def _missing(content: dict[str, Any]) -> list[str]:
    few = content["rounds"] is not None and content["rounds"] < QUOTABLE
    lines = [f"Rounds: {content['rounds']} a case. A figure is worth quoting from {QUOTABLE} rounds on."] * few
    absent = [name for name, version in content["machine"].items() if version == "not installed"]
    lines += [f"Not installed, so not compared with: {', '.join(absent)}."] if absent else []
    return [*lines, *(f"FAILED: {case}: {why}" for case, why in content["failed"].items())]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    def spread(figure: dict[str, float], unit: str = "") -> str:
        return f"{figure['median']:.3g}{unit} ({figure['least']:.3g} - {figure['most']:.3g})"

    ratio = "" if row["ratio"] is None else spread(row["ratio"])
    target = f"{_target(row)}: {VERDICTS[row['met']]}" if row["target"] else ""
    return row["subject"], spread(row["figure"], f" {row['unit']}"), ratio, row["peer"], target


def _target(row: dict[str, Any]) -> str:
    return f"{row['target'][0]} {row['target'][1]:g}"


def _markdown_cells(row: dict[str, Any]) -> tuple[str, ...]:
    subject, *others, target = _cells(row)
    note = f"<br><small>{escape(row['note'])}</small>" if row["note"] else ""
    return escape(subject) + note, *others, target.replace("MISSED", "**MISSED**").replace("<=", "≤").replace(">=", "≥")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
