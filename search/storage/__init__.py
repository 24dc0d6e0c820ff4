"""Runs in object storage (`s3://`, `gs://`): upload of a run folder during the run, and download to resume it.

It imports no other room of `search`.
"""
