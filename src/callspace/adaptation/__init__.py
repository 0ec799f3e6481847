"""Fitting to labels: regimes, recipes, the background policy, and the tuned encoder that comes of them."""
