"""What a detector is measured by: its errors, what its scores are worth, its size, and errors and size together.

Errors are EER, min t-DCF and DCF; scores are worth what they cost as log-likelihood ratios (Cllr), which calibration
makes of them.
"""
