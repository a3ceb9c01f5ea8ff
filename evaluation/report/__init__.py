"""Reports: one self-contained HTML page for one run or many, and the same tables as text.

`report.report_runs` does all of it for run folders; `content` holds what a page shows, `gather` fills it from runs,
`page` and `text` write it out. Nothing here computes a score: scores and verdicts come from the stages before.
"""
