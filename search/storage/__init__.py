"""Runs in a bucket: the copy that follows a run's folder (`s3://`, `gs://`), and the way back from there.

It imports no other room of `search`.
"""
