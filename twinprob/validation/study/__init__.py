"""A retrospective study: a file that says everything beforehand, a cohort, every twin rolled forward, figures.

Its verb is `twinprob.study`; what it needs beyond the package is the extra ``twinprob[study]``.
"""
