"""The driver, which is the process that is connected to Ray, and the supervisor, which starts it and outlives it.

Every command and function that trains goes this way: Ray can end the process that it is connected to, or leave it
waiting for ever, and what has ended by then must be shown all the same.

It may import every room of `search` but `api`; the supervisor imports neither Ray nor torch.
"""
