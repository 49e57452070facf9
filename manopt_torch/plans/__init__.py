"""Plans: options, decorators, actions, stopping criteria, and the one loop that runs a solver."""

# the stop of every solver is registered here, so that stepping by hand has it too
from manopt_torch.plans import halt as halt
