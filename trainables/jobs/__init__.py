"""Training outside trials: pretraining of the base, and LoRA as a control.

It may import every room of `trainables`.
"""
