"""Long work with progress, by hand or on a schedule."""
