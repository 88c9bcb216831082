"""`python -m bench.report FILE…`: tables and charts of runs that were kept as JSON."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from .chart import draw
from .markdown import page
from .results import merged, read
from .table import show


def main(arguments: Sequence[str]) -> int:
    """Show what the files hold, as one run."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("file", nargs="+", type=Path, help="what `python -m bench --json` wrote")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    parser.add_argument("--charts", type=Path, help="draw charts into this folder, as SVG")
    asked = parser.parse_args(arguments)
    console = Console()
    try:
        results = merged(map(read, asked.file))
    except (ValueError, OSError) as error:
        console.print(str(error), markup=False)
        return 1
    if asked.markdown is not None:
        asked.markdown.write_text(page(results) + "\n", encoding="utf-8")
    if asked.charts is not None:
        for path in draw(results.samples, asked.charts):
            console.print(f"drawn: {path}", markup=False)
    if asked.markdown is None and asked.charts is None:
        show(console, results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
