"""The modules of `ModularOptimizer` that are no direction rules of the solvers, and the names of torchzero for all."""
