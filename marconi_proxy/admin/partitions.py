"""``/v1/partitions``: registration, changes and removal of partitions."""

from __future__ import annotations

from dataclasses import replace

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.errors import HostTaken, PartitionConflict, PartitionInUse
from catalog.model import COMING_STATES, Partition
from marconi_proxy.admin import partition_json, pins
from marconi_proxy.admin.body import read_object, refuse_unknown
from marconi_proxy.admin.prober import Prober, sharing
from marconi_proxy.admin.query import parameters
from marconi_proxy.moving.orders.order import takes
from marconi_proxy.partition_client.discovery import SeveralStores
from marconi_proxy.project_text import from_url


class PartitionsResource:
    """Handlers for the collection and for one partition. ``name`` comes percent-encoded."""

    def __init__(self, catalog: Catalog, prober: Prober) -> None:
        self._catalog = catalog
        self._prober = prober

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        partitions = await self._catalog.partitions.all()
        if partitions:
            shared = sharing(partitions)
            resp.media = [partition_json.shown(p, shared, name=True) for p in partitions]
        else:
            resp.status = falcon.HTTP_204

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        partition = await self._catalog.partitions.get(from_url(name))
        if partition is None:
            raise _not_found(from_url(name))
        shared = sharing(await self._catalog.partitions.all())
        resp.media = partition_json.shown(partition, shared, name=False)

    async def register(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        document = await read_object(req)
        refuse_unknown(document, partition_json.SETTABLE)
        partition = partition_json.parsed(from_url(name), document)
        stored = await self._catalog.partitions.get(partition.name)
        if stored is None:
            partition = await self._looked_at(partition)
            try:
                await self._catalog.partitions.insert(partition)
            except HostTaken as taken:
                raise _taken(taken) from taken
            except PartitionConflict as conflict:
                # Registered concurrently; equal content is no conflict.
                stored = conflict.current
                if stored is None:
                    raise _changing(partition.name) from conflict
            else:
                resp.status = falcon.HTTP_201
                return
        differences = partition_json.differences(partition, stored, document)
        if differences:
            raise falcon.HTTPConflict(
                title="Partition exists",
                description=f"Partition {partition.name} is registered already, and {'; '.join(differences)}. "
                "Nothing was changed; change it with PATCH (marconi-proxy partition set).",
            )
        try:
            # Written although nothing differs: this revives a partition whose removal was interrupted half-way.
            await self._catalog.partitions.replace(replace(stored, version=stored.version + 1))
        except PartitionConflict as conflict:
            raise _changing(partition.name) from conflict
        resp.status = falcon.HTTP_204

    async def change(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        document = await read_object(req)
        if not document.keys() & set(partition_json.SETTABLE):
            raise falcon.HTTPBadRequest(
                title="Invalid partition",
                description=f"The body must have at least one of {', '.join(partition_json.SETTABLE)}.",
            )
        stored = await self._catalog.partitions.get(from_url(name))
        while stored is not None:
            patched = await self._patched(stored, document)
            try:
                await self._catalog.partitions.replace(patched)
            except HostTaken as taken:
                raise _taken(taken) from taken
            except PartitionConflict as conflict:
                # Each retry means that a concurrent change succeeded, so the loop ends.
                stored = conflict.current
                continue
            stranded = await pins.stranded(self._catalog, patched)
            if stranded["pinned"]:
                resp.media = stranded
            return
        raise _not_found(from_url(name))

    async def repin(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        document = await read_object(req)
        refuse_unknown(document, ("to",))
        to = document.get("to")
        if not isinstance(to, str):
            raise _invalid_repin("to", "must be the name of a partition")
        await self._check_takes("to", to, from_url(name))
        resp.media = {"tenants": await pins.change(self._catalog, from_url(name), to)}

    async def remove(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        partition, repin = from_url(name), parameters(req, ("repin",)).get("repin")
        if repin is not None:
            await self._check_takes("repin", repin, partition)
        # Tenants of a partition in use keep their pins: the catalog refuses its removal, with the reason.
        changed = None
        if not (
            await self._catalog.placements.find(partitions=[partition], limit=1)
            or await self._catalog.moves.find(partition=partition, states=COMING_STATES, limit=1)
        ):
            changed = await self._clear_pins(partition, repin)
        try:
            await self._catalog.partitions.remove(partition)
        except PartitionInUse as error:
            until = "when it has none" if error.placements else "when that is done or cancelled"
            words = f"{error}"
            raise falcon.HTTPConflict(
                title="Partition in use", description=f"{words[:1].upper()}{words[1:]}; it can be removed {until}."
            ) from error
        if changed is None:
            resp.status = falcon.HTTP_204
        else:
            resp.media = {"tenants": changed}

    async def _clear_pins(self, name: str, repin: str | None) -> int | None:
        """Pin the tenants of a partition to ``repin``; return their number, None without ``repin``.

        Raises HTTPConflict if there are some without ``repin``.
        """
        if repin is not None:
            return await pins.change(self._catalog, name, repin)
        found = await self._catalog.tenants.find(pinned=name, limit=pins.NAMED + 1)
        if found:
            raise falcon.HTTPConflict(
                title="Tenants are pinned",
                description=f"Partition {name} was not removed: {pins.named(found)} pinned to it, so that their new "
                "queues would be refused. Pin them to another one (--repin TO, or marconi-proxy tenant set).",
            )
        return None

    async def _check_takes(self, member: str, name: str, other: str) -> None:
        """Raise HTTPBadRequest unless tenants may be pinned to partition ``name`` in place of ``other``."""
        partition = await self._catalog.partitions.get(name)
        if partition is None:
            raise _invalid_repin(member, f"{name} is not a registered partition")
        if name == other or not takes(partition):
            raise _invalid_repin(member, f"{name} is no other partition that takes new queues")

    async def _patched(self, stored: Partition, document: dict[str, object]) -> Partition:
        partition = partition_json.patched(stored, document)
        if partition.hosts != stored.hosts:
            # New hosts may speak other versions; the known ones stay valid until the hosts report theirs. Fences count
            # only once the hosts report them.
            partition = await self._looked_at(replace(partition, fences=False, store=None))
        return partition

    async def _looked_at(self, partition: Partition) -> Partition:
        """Return the partition updated from its hosts. Raises HTTPBadRequest if one of them is a front door,
        HTTPConflict unless all serve one store of its own."""
        try:
            found = await self._prober.look(partition)
        except SeveralStores as error:
            words = f"{error}"
            raise falcon.HTTPConflict(
                title="Several stores",
                description=f"{words[:1].upper()}{words[1:]}. Nothing was changed; a partition is one store, and all "
                "its hosts serve it.",
            ) from error
        for host in self._prober.ours(partition.hosts):
            raise falcon.HTTPBadRequest(
                title="Invalid partition",
                description=f"hosts: {host} is a front door over this catalog, not a partition: calls would go in "
                "circles. Nothing was changed; name the servers of the partition itself.",
            )
        others = await self._catalog.partitions.all() if found.store is not None else []
        for other in others:
            if other.store == found.store and other.name != found.name:
                raise falcon.HTTPConflict(
                    title="Store registered already",
                    description=f"The hosts given for partition {found.name} serve the store of partition {other.name} "
                    f"({found.store}). Nothing was changed; a queue that is moved between two partitions over one "
                    f"store would be lost. More hosts of {other.name} belong to it (marconi-proxy partition set "
                    f"{other.name} --host ...).",
                )
        return found


def _taken(error: HostTaken) -> falcon.HTTPConflict:
    return falcon.HTTPConflict(
        title="Host taken",
        description=f"hosts: {error.host} belongs to partition {error.other} already, and two partitions over one "
        "store would show each other's queues. Nothing was changed.",
    )


def _invalid_repin(member: str, reason: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(title="Invalid repin", description=f"{member}: {reason}. Nothing was changed.")


def _not_found(name: str) -> falcon.HTTPNotFound:
    return falcon.HTTPNotFound(title="Not found", description=f"There is no partition {name}.")


def _changing(name: str) -> falcon.HTTPConflict:
    return falcon.HTTPConflict(
        title="Partition changed",
        description=f"Partition {name} was changed concurrently. The request was not processed; read the partition "
        "again and retry.",
    )
