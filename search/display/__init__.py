"""How a run shows itself while it goes on: the terminal, metrics for Prometheus, the Grafana dashboard, `--monitor`.

It may import `runs`, `settings` and `cluster`.
"""
