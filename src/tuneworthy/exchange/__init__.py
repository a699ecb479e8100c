"""Evaluations in and out: logs of other tools read as arms and judged by our statistics; our runs written as theirs.

promptfoo ─┐                                       ┌→ Inspect logs
lm_eval   ─┼→ Log ─→ judge ─→ Judged    RunRecord ─┤
inspect   ─┘                                       └→ MLflow runs
"""
