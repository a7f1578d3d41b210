"""The forecast of demand: what is asked of the forecasting process, and what becomes of its answers."""
