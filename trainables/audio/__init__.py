"""Audio files: which formats are read, and decoding to mono samples at 16 kHz.

It decides what a file's samples are where header and content disagree, and knows nothing of labels or corpora.
"""
