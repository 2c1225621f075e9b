"""Drawing: panels, boards, normaliser, lint."""
