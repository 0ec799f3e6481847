"""Pure functions from labels, scores and vectors to numbers: used by training and by judgement alike.

Every metric takes optional weights, one a window: shape (n,), answered with a float, or shape (R, n), answered with float64[R].
Resampling groups with replacement is the same as weighting each window by how often its group was drawn, so one call with the
weights of `bootstrap.group_weights` gives all the replicates of a bootstrap, and two metrics (or two encoders) given the same
weights are paired. A metric that is not defined (no window, no class present) is NaN, never a number that looks like a score.
"""
