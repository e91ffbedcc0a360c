"""Long-running work that reports progress: observations, comparisons, exports, imports.

It is started by hand or on a schedule.
"""
