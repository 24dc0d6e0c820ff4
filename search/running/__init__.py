"""Runs the trials: preparation, the Tune experiment and its callback, training outside Tune, and confirmation.

It may import every room of `search`; only the commands and `search.api` import it.
"""
