"""Every table and figure of the paper: the runs behind them, the numbers it printed, and ours beside them."""
