"""A report as data, and its two renderings: one self-contained HTML file and a Markdown twin."""
