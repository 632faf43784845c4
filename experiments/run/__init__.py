"""What every run shares: its workdir, progress on the terminal, processes, errors."""
