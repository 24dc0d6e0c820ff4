"""What a detector is measured by: its errors (EER, min t-DCF, DCF), what its scores are worth as
log-likelihood ratios (Cllr) and how they become such, its size, and errors and size weighed together."""
