"""Files on disk and in buckets: detectors, checkpoints, cached activations and each node's copies.

It may import `features`, `models` and `corpora`.
"""
