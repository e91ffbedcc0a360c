"""Long-running work that reports progress: observations, comparisons, exports, imports; by hand or on a schedule."""
