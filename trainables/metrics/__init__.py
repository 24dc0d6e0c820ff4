"""What a detector is measured by: its errors (EER, min t-DCF), its size, and the two weighed together."""
