"""What one trial does: its plan, growth and cuts, training, and the state that a checkpoint holds.

It may import every room of `trainables` but `jobs`.
"""
