"""Detectors on a corpus that they were not chosen on: scores, errors by condition, and the folder of an evaluation.

It may import `reporting`, `scoring`, `display`, `runs` and `settings`; nothing here influences trials.
"""
