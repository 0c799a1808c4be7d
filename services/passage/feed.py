"""`passage feed`: services never import each other, so what the back-test needs of the others is handed in here."""

from services.passage.backtest_rules import BacktestRules
from services.safety.cli import feed

feed.info.context_settings = {"obj": BacktestRules}

__all__ = ["feed"]
