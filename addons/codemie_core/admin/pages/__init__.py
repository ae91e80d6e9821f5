"""The pages an operator opens in a browser."""
