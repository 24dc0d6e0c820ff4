"""What is measured and told of detectors: evaluation, tables, cards, the picture of a front, plans in words.

It may import `display`, `runs` and `settings`; it decides nothing about trials.
"""
