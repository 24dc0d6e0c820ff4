"""How tensors change when widths change: no policy, no model, only slots."""
