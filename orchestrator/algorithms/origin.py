"""Where an algorithm comes from: its code and its publication, as algorithm.yaml and run.json name them."""

from __future__ import annotations

from orchestrator.documents import Document


class Upstream(Document, frozen=True, kw_only=True):
    """The code that an algorithm comes from."""

    name: str
    version: str
    commit: str | None = None


class Paper(Document, frozen=True, kw_only=True):
    """The publication of an algorithm."""

    doi: str
    authors: str  # as BibTeX has them: family name first, joined by "and"; "others" ends a list that goes on
    title: str
    venue: str
    year: int

    @property
    def cite(self) -> str:
        """The publication in one sentence: family names, title, venue, year."""
        names = [name.partition(",")[0].replace("others", "et al.") for name in self.authors.split(" and ")]
        return f"{', '.join(names).rstrip('.')}. {self.title}. {self.venue} {self.year}"
