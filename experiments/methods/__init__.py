"""Every unlearning method beside every request: what each harms, and whether it forgets."""
