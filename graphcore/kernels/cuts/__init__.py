"""
Kernels that break all cycles of a component at little cost.

This is the *minimum feedback arc set*, which is NP-hard.

A caller and a callee are a *pair*, with one cost for all dependencies between them. An order of the
services determines the cuts: the pairs that lead back, to a service that comes before its caller.
Without these pairs there is no cycle, and some order has the cheapest set of cuts.

``exact`` finds that order for few services. For many, ``greedy`` makes an order, ``descent`` moves
single services, ``exchange`` moves several, ``improve`` repeats both after random moves, and
``needed`` keeps the pairs that need not be cut. ``exchange`` also says whether the cuts are known
to be the cheapest, and ``needed`` finds for each a cycle that it alone breaks. ``sequence`` is the
order as a list.
"""
