"""The requests that wait for one upstream, and whose turn is next: one request of each client in turn.

Requests of clients precede background work. Within a class the clients take turns, and the requests of one client keep
their order of arrival: a client with a thousand queued files delays another client's file by one request, and not by a
thousand. A download that several clients read waits in the line of each of them, and is sent at the first turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from snapproxy.core.rate_limit import MAX_QUEUED, Demand


@dataclass(frozen=True, eq=False, slots=True)
class Ticket:
    """A place in a queue. `turn` is set when its holder should try again, or was removed (`FairQueue.is_removed`)."""

    demand: Demand
    turn: asyncio.Event = field(default_factory=asyncio.Event)


class FairQueue:
    """The tickets of one upstream in this process, in order of arrival, and the order of turns of their clients."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []
        self._turns: list[str] = []
        """The clients that have tickets, the next one first."""
        self._removed: set[Ticket] = set()

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def first(self) -> Ticket | None:
        """The ticket whose turn is next, None if the queue is empty."""
        tickets = self._preferred()
        for client in self._order(tickets):
            return next(ticket for ticket in tickets if client in ticket.demand.clients)
        return None

    @property
    def clients(self) -> int:
        """The number of requests for which a client waits."""
        return sum(not ticket.demand.is_background for ticket in self._tickets)

    def join(self, demand: Demand) -> Ticket | None:
        """Return a new ticket at the end of its client's line; None if the queue is full and the client has its share.

        A full queue takes one more request of a client that has fewer than another one: the newest request for
        which only the client with the most tickets waits is removed for it. Background work is never refused, since it
        delays no client.
        """
        if not demand.is_background and self.clients >= MAX_QUEUED and not self._make_room(demand):
            return None
        ticket = Ticket(demand)
        self._tickets.append(ticket)
        return ticket

    def granted(self, ticket: Ticket) -> None:
        """Note that the ticket, the first one, gets its permit: its client's next turn comes after all others."""
        for client in self._order(self._preferred()):
            if client in ticket.demand.clients:
                self._turns.remove(client)
                self._turns.append(client)
                return

    def is_removed(self, ticket: Ticket) -> bool:
        """Return whether the ticket lost its place to a client with fewer requests."""
        return ticket in self._removed

    def leave(self, ticket: Ticket) -> None:
        """Remove the ticket, and wake the next one."""
        if ticket in self._removed:
            self._removed.discard(ticket)
        else:
            self._tickets.remove(ticket)
        self.wake_first()

    def ahead_of(self, ticket: Ticket) -> int:
        """Return the number of requests that are likely to be sent before that of the ticket, if no other one comes."""
        rivals = self._preferred() if not ticket.demand.is_background else self._tickets
        clients = ticket.demand.clients
        before = rivals[: rivals.index(ticket)] if ticket in rivals else rivals
        own = sum(not clients.isdisjoint(each.demand.clients) for each in before)
        others = Counter(min(each.demand.clients) for each in rivals if clients.isdisjoint(each.demand.clients))
        return own + sum(min(count, own + 1) for count in others.values())

    def wake_first(self) -> None:
        """Let the holder of the first ticket try again."""
        if first := self.first:
            first.turn.set()

    def _preferred(self) -> list[Ticket]:
        """Return the tickets of clients; those of background work if there are none."""
        return [ticket for ticket in self._tickets if not ticket.demand.is_background] or self._tickets

    def _order(self, tickets: list[Ticket]) -> list[str]:
        """Return the clients of the tickets in their order of turns. A new client is the last one.

        Clients that only background work waits for keep their turns while requests of other clients precede them.
        """
        known = _clients(self._tickets)
        self._turns = list(dict.fromkeys([*(client for client in self._turns if client in known), *known]))
        now = _clients(tickets)
        return [client for client in self._turns if client in now]

    def _make_room(self, demand: Demand) -> bool:
        """Remove a ticket of the client with the most that has one alone, if those of `demand` have fewer by two."""
        waiting = [ticket for ticket in self._tickets if not ticket.demand.is_background]
        counts = Counter(client for ticket in waiting for client in ticket.demand.clients)
        enough = min(counts[client] for client in demand.clients) + 2
        for client in (client for client, count in counts.most_common() if count >= enough):
            for ticket in reversed(waiting):
                if ticket.demand.clients == {client}:
                    self._tickets.remove(ticket)
                    self._removed.add(ticket)
                    ticket.turn.set()
                    return True
        return False


def _clients(tickets: list[Ticket]) -> dict[str, None]:
    """Return the clients of the tickets, in their order of arrival."""
    return dict.fromkeys(client for ticket in tickets for client in sorted(ticket.demand.clients))
