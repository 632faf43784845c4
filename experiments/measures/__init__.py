"""What is measured of a service after each request, and the rows that it becomes."""
