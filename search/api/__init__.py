"""What `search` offers to programs: runs and detectors as objects. The commands are thin callers of it.

It may import every room of `search`.
"""
