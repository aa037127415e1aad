"""What every kind of report begins with: the rows it may read, in one currency, and what must be said about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from flowzz.errors import Permanent
from flowzz.plugins.contributions import DataColumn, DataSource
from flowzz_report.conditions import described
from flowzz_report.payload import Filters
from flowzz_report.period import Period
from flowzz_report.rows import HOME_CURRENCY, Rows
from flowzz_report.topics import TOPICS, Topic
from flowzz_report.wording import counted


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One report to make. ``sources`` holds those of each topic; ``progress`` is told a fraction of the reading.

    ``lists`` is False when the file will not show every row, so that nothing needs to be read for that.
    """

    session: Session
    company_id: str
    company: str
    report_id: str
    period: Period
    filters: Filters
    sources: Mapping[str, Sequence[DataSource]]
    generated_at: datetime
    progress: Callable[[float, str], None]
    lists: bool = True
    notices: list[str] = field(default_factory=list)

    def has(self, topic: Topic) -> bool:
        return bool(self.sources.get(topic.name))

    def require(self, topic: Topic) -> None:
        """Raises Permanent, saying what to install, when nothing offers the topic."""
        if not self.has(topic):
            raise Permanent(missing(topic))

    def rows(
        self,
        topic: Topic,
        period: Period | None = None,
        since: datetime | None = None,
        only: Collection[str] | None = None,
    ) -> Rows:
        where = {} if since else self.filters.where
        return Rows(
            self.session,
            topic,
            self.sources[topic.name],
            self.company_id,
            period or self.period,
            where=where,
            since=since,
            kept=period is None and since is None,
            only=only,
        )

    def in_one_currency(self, rows: Rows, wanted: str | None = None, *, what: str = "linhas") -> str:
        """Restrict ``rows`` to ``wanted``, or else to their most frequent currency, since amounts in different ones
        cannot be added up; a notice says what is left out."""
        found = rows.currencies()
        currency = wanted or (found[0][0] if found else HOME_CURRENCY)
        rows.restrict(rows.c.currency == currency)
        for other, count in found:
            if other != currency:
                said = counted(count, f"{what[:-1]} em {other} ficou", f"{what} em {other} ficaram")
                self.notices.append(f"{said} de fora: este relatório é em {currency}.")
        return currency

    @property
    def described_filters(self) -> tuple[str, ...]:
        """The conditions as a reader of the report sees them."""
        return tuple(described(topic_columns(), self.filters.where))

    @property
    def source_titles(self) -> tuple[str, ...]:
        return tuple(one.title for group in self.sources.values() for one in group)


def missing(topic: Topic) -> str:
    """What to say, in a log and in an error, when nothing offers the topic."""
    return (
        f"no data: no installed plugin offers the topic {topic.name!r}, so this report has nothing to read; "
        f"install one, such as {topic.hint}"
    )


def topic_columns() -> Mapping[str, DataColumn]:
    """Every column a filter may name; of a name that two topics have, the first's."""
    return {name: column for topic in reversed(list(TOPICS.values())) for name, column in topic.columns.items()}
