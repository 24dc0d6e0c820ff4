"""Training that is no trial: the base, and LoRA as a control.

It may import every room of `trainables`.
"""
