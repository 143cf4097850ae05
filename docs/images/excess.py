"""Draws `excess.png` of the README: `python docs/images/excess.py`."""

from pathlib import Path

import bknn
from bknn import inference, models, plot

bknn.enable_x64()
data = bknn.data.load("belle2-2025")
analysis = bknn.Analysis(models.load("resonance"), data)
figure = plot.candidates(
    {
        "standard model": inference.fit_null(analysis),
        "standard model and X": inference.fit(analysis),
    }
)
figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)
