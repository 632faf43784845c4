"""What suites of runs share, the paper's and the methods': places, findings, costs."""
