"""The report of a run: one self-contained HTML page. Each file computes one part of it.

It may import `reporting`, `tuning`, `runs` and `settings`.
"""
