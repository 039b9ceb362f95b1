"""Networks that learn algorithms from examples: a sequence of symbols in, one of the same length out.

A network is a module of this folder with a class of `base.SequenceNetwork`; what is to be learned is in `tasks`, how it
is trained in `echocast.training.tasks.algorithm`, and how well it does on longer sequences in `accuracy`.
"""

NOT_NETWORKS = ("base", "tasks", "accuracy")
"""Modules of this folder that are no networks."""
