"""One trial: its plan, growth and pruning, training, and the state that a checkpoint holds.

It may import every room of `trainables` but `jobs`.
"""
