"""What a model turn used: tokens, cost, tools, files. Pure: knows events and bodies, no flows."""
