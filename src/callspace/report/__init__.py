"""Looking at a run: the leaderboard, the self-contained HTML page, and the same table for the terminal."""

from callspace.report.leaderboard import LEADERBOARD, leaderboard
from callspace.report.page import write_report
from callspace.report.terminal import leaderboard_table

__all__ = ["LEADERBOARD", "leaderboard", "leaderboard_table", "write_report"]
