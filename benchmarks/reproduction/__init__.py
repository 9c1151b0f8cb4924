"""Reproduction of the scores and claims of the training notes.

`scores` reproduces `noted_scores.csv`, `claims` tests `noted_claims.csv` as experiments. `quality`,
`explosions` and `attributes` record longer runs of the recipes.
"""
