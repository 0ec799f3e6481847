"""Why the scores are what they are, and what to do about it: each check a function from arrays and tables to findings.

Of an embedding of all windows of a dataset (`vectors` float[n, d] in the order of the windows table):

- `summary.diagnose_embedding(vectors, windows, labels, task, *, nuisances=None, recordings=None, predictions=None, tuned_on=(),
  subject=None, seed=0) -> list[Finding]`: all of the following, with their false alarms held down together.
- `confounds.confounds(vectors, windows, labels, task, nuisances, *, subject=None, seed=0) -> list[Finding]`: is the label read from the
  recorder, the site, the date, the level? `confounds.nuisances_of(windows, recordings=None, **measured)` gathers the nuisances
  {name: one value a window} from the columns of both tables; `measured` adds what was measured, such as ``level_db=float[n]``.
- `collapse.collapse(vectors, *, n_classes=None, codes=None, groups=None, subject=None, seed=0)` and `collapse.hubs(vectors, ...) -> Finding`.
- `label_errors.label_errors(vectors, windows, labels, task, *, subject=None, seed=0) -> Finding`.
- `confusions.confusions(predictions, windows, labels, task, *, subject=None, seed=0) -> list[Finding]`: one for each set of scores in the
  predictions table (head, linear, knn).

`windows` is `callspace.tables.WINDOWS`, all splits; `labels` the vocabulary; `task` ``"classification"`` or ``"detection"``; `subject` goes
into the findings as it is. Of the sound itself and of the run there are the modules `invariance`, `band`, `leakage`, `layers`,
`training_curves` and `overlap`. None of them reads a run folder.
"""

from callspace.evaluation.diagnosis.finding import VERDICTS, Finding, Verdict, findings_from_json, findings_to_json, worst_first

__all__ = ["VERDICTS", "Finding", "Verdict", "findings_from_json", "findings_to_json", "worst_first"]
