"""Runs in a bucket: the copy that follows a run folder (`s3://`, `gs://`), and the way back.

It imports no other room of `search`.
"""
