"""What lies on disk: detectors and checkpoints, cached activations, what nodes fetch from a bucket.

It may import `features`, `models` and `corpora`.
"""
