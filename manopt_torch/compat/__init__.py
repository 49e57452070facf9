"""The call signatures of other packages, on top of the solvers of this one."""
