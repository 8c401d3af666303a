"""Figure 1 of Lee & Seung 1999 shows pictures without numbers."""

FIGURES = ()
