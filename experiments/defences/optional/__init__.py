"""What is measured of defences where a flag asks for it: time, robustness, the server's cost, stored digests."""
