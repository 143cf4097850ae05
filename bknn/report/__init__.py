"""What a command says and leaves behind: tables to read, `result.json`, arrays.

`docs/result.md` describes the files.
"""

from bknn.report.evidence import evidence_json, evidence_table
from bknn.report.files import write_json
from bknn.report.fit import fit_json, fit_table, write_arrays
from bknn.report.impacts import impacts_json, impacts_table, write_impacts
from bknn.report.limit import limit_json, limit_table, write_limit
from bknn.report.marginal import marginal_json, marginal_table, write_marginal
from bknn.report.numbers import in_digits
from bknn.report.outlook import outlook_json, outlook_table, write_outlook
from bknn.report.posterior import posterior_json, posterior_table
from bknn.report.prediction import point_table, predictions_json, predictions_table
from bknn.report.predictions import (
    comparison_json,
    comparison_table,
    measured_json,
    measured_table,
    write_measured,
)
from bknn.report.prior_study import prior_study_json, prior_study_table
from bknn.report.profile import profile_json, profile_table, write_profile
from bknn.report.provenance import provenance
from bknn.report.scenarios import (
    regions_json,
    regions_table,
    scenarios_json,
    scenarios_table,
    write_scenarios,
)
from bknn.report.significance import significance_json, significance_table
from bknn.report.toys import toys_json, toys_table

__all__ = [
    "comparison_json",
    "comparison_table",
    "evidence_json",
    "evidence_table",
    "fit_json",
    "fit_table",
    "impacts_json",
    "impacts_table",
    "in_digits",
    "limit_json",
    "limit_table",
    "marginal_json",
    "marginal_table",
    "measured_json",
    "measured_table",
    "outlook_json",
    "outlook_table",
    "point_table",
    "posterior_json",
    "posterior_table",
    "predictions_json",
    "predictions_table",
    "prior_study_json",
    "prior_study_table",
    "profile_json",
    "profile_table",
    "provenance",
    "regions_json",
    "regions_table",
    "scenarios_json",
    "scenarios_table",
    "significance_json",
    "significance_table",
    "toys_json",
    "toys_table",
    "write_arrays",
    "write_impacts",
    "write_json",
    "write_limit",
    "write_marginal",
    "write_measured",
    "write_outlook",
    "write_profile",
    "write_scenarios",
]
