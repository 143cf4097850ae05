"""Complete models: Lagrangians whose parameters are matched onto effective models."""
