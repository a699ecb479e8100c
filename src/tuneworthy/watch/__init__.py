"""What happens after a release is live: traces, feedback, drift, stale facts."""
