"""Black-box search over the planning parameters: Bayesian optimisation, CMA-ES, the downhill simplex."""
