"""What the user asked for: the options of a run, each declared once, and the command line that is made of them.

It may import `storage`, to see whether a place can be used.
"""
