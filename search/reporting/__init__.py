"""Evaluation of detectors and how it is presented: tables, cards, the figure of the front, plans in words.

It may import `display`, `runs` and `settings`; nothing here influences trials.
"""
