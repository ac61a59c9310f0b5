"""Pictures of classifiers: each file computes, then plots."""
