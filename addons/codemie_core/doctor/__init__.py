"""What is wrong with an installation, its home and its surroundings, and what mends it. Looking changes nothing."""
