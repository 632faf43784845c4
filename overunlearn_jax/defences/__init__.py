"""What a service can do about over-unlearning: gates on a request, bounds on an update, a monitor with rollback."""
