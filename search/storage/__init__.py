"""Where runs lie: the paths of a run's folder, its copy in a bucket (`s3://`, `gs://`), and the way back from there.

It imports no other room of `search`.
"""
