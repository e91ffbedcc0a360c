"""The state of a running service for its operators: metrics, health, the verdict, samples of the last day."""
