"""Who proposed a form."""

from __future__ import annotations

PUMA = "PUMA"
"""Dong et al., arXiv 2307.12533."""

MPCFORMER = "MPCFormer"
"""Li et al., arXiv 2211.01452."""

DITTO = "Ditto"
"""Wu et al., arXiv 2405.05525."""

SPU = "SPU"
"""What the engine does itself."""

OURS = "here"
"""New in this project, to our knowledge."""
