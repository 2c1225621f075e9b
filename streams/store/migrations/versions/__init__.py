"""One revision, one file. A revision that has been released is never edited."""
