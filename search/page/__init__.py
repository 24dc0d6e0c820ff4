"""The report of a run: one HTML page that needs nothing else. A file here is a part of the page, and what it counts.

It may import `reporting`, `tuning`, `runs` and `settings`.
"""
