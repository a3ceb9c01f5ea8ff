"""Reports: one self-contained HTML file for a run, one for a leaderboard over many, and the same tables as text.

`content` holds what goes in; `page.write_report`, `leaderboard.write_leaderboard` and `table.text_table` write it out.
Nothing here computes a score: scores, verdicts and records come from the stages before.
"""
