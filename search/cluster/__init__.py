"""Ray: starting it on this machine or joining a cluster, its nodes, and every private part of it that is relied on.

It imports no other room of `search`.
"""
