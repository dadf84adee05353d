"""What priors imply and how much they matter."""
