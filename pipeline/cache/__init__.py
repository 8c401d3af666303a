"""Which stages need not run again, and why: fingerprints of code, parameters and inputs."""
