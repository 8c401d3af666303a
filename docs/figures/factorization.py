"""Draws docs/figures/factorization.png: `python docs/figures/factorization.py` from the root.

The ratings of the worked example in docs/factorization.md as sums of two parts: singular value
decomposition above, non-negative parts below.
"""

import pathlib

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from methodical.models.factorization import NMF, truncated_svd

RATINGS = np.array([[5.0, 4.0, 1.0], [4.0, 5.0, 1.0], [2.0, 1.0, 5.0]])
CUSTOMERS = ["Anna", "Ben", "Carla"]
FILMS = ["Alien", "Blade\nRunner", "Casa-\nblanca"]


def draw(axes, matrix, title, edge):
    """Draws one matrix with its numbers; below zero in red."""
    axes.imshow(matrix, cmap="RdBu", vmin=-6, vmax=6)
    for (row, column), value in np.ndenumerate(matrix):
        bold = "bold" if value < -0.005 else "normal"
        text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
        axes.text(
            column,
            row,
            text if abs(value) > 0.005 else "0",
            ha="center",
            va="center",
            fontweight=bold,
            color="white" if abs(value) > 3.5 else "black",
        )
    axes.set_xticks(range(3), FILMS, fontsize=8)
    axes.set_yticks(range(3), CUSTOMERS if edge else [""] * 3)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=10)


def main():
    """Writes the figure."""
    left, values, right = truncated_svd(RATINGS, 2)
    codes = (model := NMF(2, tol=0)).fit_transform(RATINGS)
    rows = {
        "SVD": [np.outer(left[:, k] * values[k], right[k]) for k in range(2)],
        "non-negative": [np.outer(codes[:, k], model.components_[k]) for k in range(2)],
    }
    titles = {
        "SVD": ["first pair: the taste of all", "second pair: a contrast"],
        "non-negative": ["part 1: science fiction", "part 2: romance"],
    }
    figure, grid = plt.subplots(2, 4, figsize=(10, 5.6), constrained_layout=True)
    for axes, (name, parts) in zip(grid, rows.items(), strict=True):
        error = np.linalg.norm(RATINGS - sum(parts))
        draw(axes[0], RATINGS, "ratings", edge=True)
        draw(axes[1], sum(parts), f"≈ {name}, rank 2\nerror {error:.3f}", edge=False)
        draw(axes[2], parts[0], "= " + titles[name][0], edge=False)
        draw(axes[3], parts[1], "+ " + titles[name][1], edge=False)
    path = pathlib.Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
