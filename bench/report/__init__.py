"""From samples to what people read.

- `results`  the JSON file: everything measured, every run apart
- `table`    tables of medians, ratios and goals, on the terminal
- `markdown` the same tables for a page
- `chart`    bars, as SVG
"""
