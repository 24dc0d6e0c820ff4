"""What a detector says of audio files and waveforms.

It imports no other room of `search`.
"""
