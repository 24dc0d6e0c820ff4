"""Which plan is tried next, and which trial is stopped: the searcher, Optuna samplers and study, successive halving.

It may import `runs` and `settings`.
"""
