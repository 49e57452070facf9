"""What each solver can do: the facts from which the page "How to choose" is made, one row an Options class.

What a problem must provide stands in the Options class itself, in `needs`; here stands what a reader wants to know
besides. A solver joins by a row; a test finds those that have none.
"""

from manopt_torch.solvers.capability import KINDS as KINDS
from manopt_torch.solvers.capability import Capability as Capability

CAPABILITIES: tuple[Capability, ...] = (
    Capability("GradientDescentOptions", "steepest_descent", "smooth", "linear", (), "first tries, large batches"),
    Capability(
        "ConjugateGradientOptions",
        "conjugate_gradient",
        "smooth",
        "linear, faster than descent",
        ("transport",),
        "many unknowns, when products with the Hessian are dear",
    ),
    Capability(
        "QuasiNewtonOptions",
        "quasi_newton",
        "smooth",
        "superlinear",
        ("transport",),
        "the usual choice with gradients only",
    ),
    Capability(
        "TrustRegionsOptions",
        "trust_regions",
        "smooth",
        "quadratic",
        ("ehess2rhess",),
        "the usual choice with Hessians, also far from the minimum; accuracy",
    ),
    Capability(
        "AdaptiveRegularizationOptions",
        "adaptive_regularization_with_cubics",
        "smooth",
        "quadratic",
        ("ehess2rhess",),
        "as trust regions, with the best bounds on the number of evaluations",
    ),
    Capability(
        "NewtonOptions",
        "riemannian_newton",
        "smooth",
        "quadratic",
        ("ehess2rhess",),
        "near a minimum, or convex costs",
    ),
    Capability(
        "TruncatedConjugateGradientOptions",
        "truncated_conjugate_gradient",
        "smooth",
        "exact for the model after as many steps as dimensions",
        ("ehess2rhess", "injectivity_radius"),
        "one step of trust regions, on a tangent space",
    ),
    Capability(
        "AlternatingGradientDescentOptions",
        "alternating_gradient_descent",
        "smooth",
        "linear",
        (),
        "products whose parts want different steps",
    ),
    Capability(
        "LevenbergMarquardtOptions",
        "levenberg_marquardt",
        "least squares",
        "quadratic for small residuals",
        ("basis",),
        "fits of curves and models, the usual choice",
    ),
    Capability(
        "GaussNewtonOptions",
        "gauss_newton",
        "least squares",
        "quadratic for small residuals",
        ("basis",),
        "fits that start close to the answer",
    ),
    Capability(
        "DoglegOptions",
        "dogleg",
        "least squares",
        "quadratic for small residuals",
        ("basis",),
        "fits where one factorisation a step is to do",
    ),
    Capability(
        "StochasticGradientDescentOptions",
        "stochastic_gradient_descent",
        "many terms",
        "sublinear",
        (),
        "thousands of terms, moderate accuracy; with the rules of Adam and others",
        stochastic=True,
    ),
    Capability(
        "SubGradientMethodOptions",
        "subgradient_method",
        "nonsmooth",
        "sublinear",
        (),
        "any cost with a subgradient, low accuracy",
        page="proximal",
    ),
    Capability(
        "ConvexBundleMethodOptions",
        "convex_bundle_method",
        "nonsmooth",
        "linear on sharp costs",
        ("exp", "log", "transport"),
        "geodesically convex costs with a subgradient, the usual choice: knows when it is done",
    ),
    Capability(
        "ProximalBundleMethodOptions",
        "proximal_bundle_method",
        "nonsmooth",
        "linear on sharp costs",
        ("inverse_retract", "transport"),
        "costs with a subgradient that are not convex",
    ),
    Capability(
        "CyclicProximalPointOptions",
        "cyclic_proximal_point",
        "nonsmooth",
        "sublinear",
        ("exp", "log"),
        "sums of terms with proximal maps: total variation",
        page="proximal",
    ),
    Capability(
        "DouglasRachfordOptions",
        "douglas_rachford",
        "nonsmooth",
        "linear where it converges",
        ("exp", "log"),
        "sums of two (or more) terms with proximal maps",
        page="proximal",
    ),
    Capability(
        "ProximalGradientOptions",
        "proximal_gradient",
        "nonsmooth",
        "sublinear, linear for strongly convex costs",
        ("inverse_retract",),
        "a smooth cost and one with a proximal map: sparsity, sets",
    ),
    Capability(
        "ChambollePockOptions",
        "chambolle_pock",
        "nonsmooth",
        "sublinear, linear once the pieces are found",
        ("inverse_retract", "transport"),
        "a term with a proximal map, and one behind an operator: total variation",
    ),
    Capability(
        "PrimalDualSemismoothNewtonOptions",
        "primal_dual_semismooth_newton",
        "nonsmooth",
        "superlinear",
        ("exp", "log", "transport", "basis"),
        "the same to the last digit, from a good start, with some hundreds of unknowns",
    ),
    Capability(
        "ProximalPointOptions",
        "proximal_point",
        "nonsmooth",
        "linear to superlinear",
        ("dist",),
        "one term with a proximal map, or one that is found by a sub-solver",
        page="proximal",
    ),
    Capability(
        "DifferenceOfConvexOptions",
        "difference_of_convex_algorithm",
        "nonsmooth",
        "linear",
        ("log",),
        "a convex cost less another, which may have kinks; no step size",
    ),
    Capability(
        "DifferenceOfConvexProximalOptions",
        "difference_of_convex_proximal_point",
        "nonsmooth",
        "linear",
        ("exp", "squared_dist"),
        "the same, where the first has a proximal map or is badly conditioned",
    ),
    Capability(
        "FrankWolfeOptions",
        "frank_wolfe",
        "constrained",
        "sublinear",
        ("inverse_retract",),
        "convex sets over which linear costs are easy to minimise",
    ),
    Capability(
        "ProjectedGradientOptions",
        "projected_gradient",
        "constrained",
        "linear",
        ("inverse_retract",),
        "sets onto which points are easy to project",
    ),
    Capability(
        "AugmentedLagrangianOptions",
        "augmented_lagrangian_method",
        "constrained",
        "linear, as fast as the penalty is large",
        ("transport",),
        "inequalities and equations of any kind, the usual choice",
    ),
    Capability(
        "ExactPenaltyOptions",
        "exact_penalty_method",
        "constrained",
        "linear, as fast as the width falls",
        ("transport",),
        "inequalities and equations, moderate accuracy",
    ),
    Capability(
        "InteriorPointNewtonOptions",
        "interior_point_newton",
        "constrained",
        "superlinear",
        ("basis",),
        "inequalities and equations in few dimensions, all digits",
    ),
    Capability(
        "NelderMeadOptions",
        "nelder_mead",
        "without derivatives",
        "none proven",
        ("inverse_retract", "basis"),
        "few dimensions, no derivative at all",
    ),
    Capability(
        "ParticleSwarmOptions",
        "particle_swarm",
        "without derivatives",
        "none proven",
        ("inverse_retract", "transport", "random_point"),
        "several local minima in few dimensions",
        stochastic=True,
    ),
    Capability(
        "CMAESOptions",
        "cma_es",
        "without derivatives",
        "linear where it converges",
        ("basis", "to_coordinates", "transport"),
        "rugged, noisy or badly scaled costs, up to a hundred dimensions",
        stochastic=True,
    ),
    Capability(
        "MeshAdaptiveDirectSearchOptions",
        "mesh_adaptive_direct_search",
        "without derivatives",
        "to stationary points",
        ("basis", "transport"),
        "kinks and jumps in few dimensions",
        stochastic=True,
    ),
)


def capability(options: str) -> Capability:
    """Return the row of an Options class.

    Args:
        options: its name.

    Raises:
        KeyError: if it has none; the message lists those that have.

    Examples:
        >>> capability("TrustRegionsOptions").order
        'quadratic'
    """
    for row in CAPABILITIES:
        if row.options == options:
            return row
    raise KeyError(f"no row for {options}; there are {', '.join(row.options for row in CAPABILITIES)}")
