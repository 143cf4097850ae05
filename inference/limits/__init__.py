"""Upper limits and Feldman-Cousins intervals, by asymptotic formulas, toys and exact sums."""
