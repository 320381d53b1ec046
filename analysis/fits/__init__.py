"""Scaling laws fitted to points: typed results with status, intervals and evidence.

``fit(Chinchilla(), points(loss, N=n, D=d))`` is the whole of it; `FitOptions` says how.
"""

from analysis.fits.chinchilla import Chinchilla, OpenLM
from analysis.fits.compare import Rival, compare
from analysis.fits.data_constrained import DataConstrained
from analysis.fits.fitting import fit
from analysis.fits.form import Form
from analysis.fits.isoflop import fit_isoflop
from analysis.fits.kaplan import Kaplan
from analysis.fits.points import Points, points
from analysis.fits.power_law import LogPower, PowerLaw, PowerLawNoOffset
from analysis.fits.prepare import FitOptions
from analysis.fits.result import Derived, Fit, FitStatus
from analysis.fits.table import Table, read_csv, read_points

__all__ = [
    "Chinchilla",
    "DataConstrained",
    "Derived",
    "Fit",
    "FitOptions",
    "FitStatus",
    "Form",
    "Kaplan",
    "LogPower",
    "OpenLM",
    "Points",
    "PowerLaw",
    "PowerLawNoOffset",
    "Rival",
    "Table",
    "compare",
    "fit",
    "fit_isoflop",
    "points",
    "read_csv",
    "read_points",
]
