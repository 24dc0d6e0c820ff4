"""Growing, pruning and merging of tensors by the slots of sites; it knows no plan and no model."""
