"""What it cost: one row a request, journalled first, shipped to the database later."""
