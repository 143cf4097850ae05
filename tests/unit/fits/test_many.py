"""How many fits are dealt out."""

from __future__ import annotations

import numpy as np
import pytest

from bknn.inference.fits import many


@pytest.mark.parametrize("fits", [0, 1, 2, 63, 64, 65, 130, 193, 1000, 20_011])
@pytest.mark.parametrize("starts", [1, 3, 100])
@pytest.mark.parametrize("most", [1, 64, 2048])
def test_shares_hold_every_fit_once(fits, starts, most):
    shares = many._shares(fits, starts, most)
    assert np.concatenate([[], *shares]).tolist() == list(range(fits))
    assert all(len(share) for share in shares)
    # The first, for which all others wait, is no longer than it must be.
    assert len(shares) < 2 or (len(shares[0]) - 1) * starts < most
