"""LOWESS by statsmodels, the outside reference that examples/regression.c draws beside its own curves.

    pip install statsmodels==0.15.0
    python3 examples/python/lowess.py examples/data/nile.csv > examples/data/nile_lowess.csv

regression reads NAME_lowess.csv when it finds it beside NAME.csv. Columns: x in ascending order, the fit at x, and the
fit at x made from all other points (its error is the leave-one-out error).
source  Cleveland 1979, Robust locally weighted regression and smoothing scatterplots
"""
import sys

if len(sys.argv) != 2:
    sys.stderr.write("usage: lowess.py FILE.csv\n")
    sys.exit(2)

import numpy as np
from statsmodels.nonparametric.smoothers_lowess import lowess

FRAC, IT = 1 / 3, 3     # share of the points in each local line; passes that give outliers less weight

path = sys.argv[1]
rows = [line.split(",") for line in open(path) if not line.startswith("#")]
header, x, y = rows[0], *np.array(rows[1:], dtype=float).T
order = np.argsort(x, kind="stable")
x, y = x[order], y[order]
fit = lowess(y, x, frac=FRAC, it=IT, return_sorted=False)
loo = [lowess(np.delete(y, i), np.delete(x, i), frac=FRAC, it=IT, xvals=x[i:i + 1])[0] for i in range(len(x))]
print(f"# LOWESS of statsmodels (frac 1/3, it {IT}), made by: python3 examples/python/lowess.py {path}")
print(f"{header[0].strip()},fit,leave_one_out")
for row in zip(x, fit, loo):
    print("%.6g,%.6f,%.6f" % row)
