"""Figure 1 of Ioffe & Szegedy 2015 (arXiv 1502.03167) shows curves without numbers."""

FIGURES = ()
