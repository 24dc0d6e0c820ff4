"""What a run has on disk, and what is read from it: the trial log, the run folder, tables, the Pareto front, members.

It may import `settings` and `storage`.
"""
