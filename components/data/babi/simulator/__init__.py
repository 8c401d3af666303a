"""The simulated world that writes all 20 tasks of bAbI."""
