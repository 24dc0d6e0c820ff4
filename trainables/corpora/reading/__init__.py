"""What readers of corpora share: protocols and tables in the forms that people have, and all faults told at once."""
