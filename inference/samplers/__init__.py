"""How draws of a posterior come about: coordinates, modes, the no-U-turn sampler, tempering."""
