"""
Kernels that break all cycles of a component at little cost.

This is the *minimum feedback arc set*, which is NP-hard.

Who calls whom is a *pair*, with one cost however many dependencies it stands for. In an order of
the services, pairs that lead back, to a service that stands before its caller, are the cuts:
without them nothing is on a cycle, and the cheapest set of cuts comes from some order. ``exact``
finds it for few services; ``greedy`` makes an order for many, ``improve`` moves single services,
``exchange`` several, ``needed`` puts back what need not be cut, ``proof`` tells whether the cuts
are known to be the cheapest, and ``witness`` shows for each a cycle that it alone breaks.
``sequence`` is the order, as a list; ``waiting`` holds services to look at.
"""
