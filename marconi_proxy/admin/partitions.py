"""``/v1/partitions``: registering, changing and removing partitions."""

from __future__ import annotations

from dataclasses import replace

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.errors import PartitionConflict, PartitionInUse
from catalog.model import Partition
from marconi_proxy.admin import partition_json
from marconi_proxy.admin.body import read_object, refuse_unknown
from marconi_proxy.admin.discovery import SeveralStores
from marconi_proxy.admin.prober import Prober, sharing
from marconi_proxy.admin.project_text import from_url


class Partitions:
    """Handlers for the collection and for one partition. ``name`` comes percent-encoded."""

    def __init__(self, catalog: Catalog, prober: Prober) -> None:
        self._catalog = catalog
        self._prober = prober

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        partitions = await self._catalog.list_partitions()
        if partitions:
            shared = sharing(partitions)
            resp.media = [partition_json.shown(p, shared, name=True) for p in partitions]
        else:
            resp.status = falcon.HTTP_204

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        partition = await self._catalog.get_partition(from_url(name))
        if partition is None:
            raise _not_found(from_url(name))
        shared = sharing(await self._catalog.list_partitions())
        resp.media = partition_json.shown(partition, shared, name=False)

    async def register(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        document = await read_object(req)
        refuse_unknown(document, partition_json.MEMBERS)
        partition = partition_json.parsed(from_url(name), document)
        stored = await self._catalog.get_partition(partition.name)
        if stored is None:
            partition = await self._looked_at(partition)
            try:
                await self._catalog.insert_partition(partition)
            except PartitionConflict as conflict:
                # Somebody else registered it meanwhile; the same content is no conflict to speak of.
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
            await self._catalog.replace_partition(replace(stored, version=stored.version + 1))
        except PartitionConflict as conflict:
            raise _changing(partition.name) from conflict
        resp.status = falcon.HTTP_204

    async def change(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        document = await read_object(req)
        if not document.keys() & set(partition_json.MEMBERS):
            raise falcon.HTTPBadRequest(
                title="Invalid partition",
                description=f"The body must have at least one of {', '.join(partition_json.MEMBERS)}.",
            )
        stored = await self._catalog.get_partition(from_url(name))
        while stored is not None:
            try:
                await self._catalog.replace_partition(await self._patched(stored, document))
            except PartitionConflict as conflict:
                # Each turn means that somebody else's change succeeded, so this ends.
                stored = conflict.current
                continue
            return
        raise _not_found(from_url(name))

    async def remove(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, name: str) -> None:
        try:
            await self._catalog.remove_partition(from_url(name))
        except PartitionInUse as error:
            until = "when it has none" if error.placements else "when that is done or cancelled"
            words = f"{error}"
            raise falcon.HTTPConflict(
                title="Partition in use", description=f"{words[:1].upper()}{words[1:]}; it can be removed {until}."
            ) from error
        resp.status = falcon.HTTP_204

    async def _patched(self, stored: Partition, document: dict[str, object]) -> Partition:
        partition = partition_json.patched(stored, document)
        if partition.hosts != stored.hosts:
            # Other hosts may speak other versions; if they do not answer, what was known stands until they do. That
            # they heed fences is never taken on trust.
            partition = await self._looked_at(replace(partition, fences=False, store=None))
        return partition

    async def _looked_at(self, partition: Partition) -> Partition:
        """Return the partition with what its hosts tell. Raises HTTPConflict unless they are one store of its own."""
        try:
            found = await self._prober.look(partition)
        except SeveralStores as error:
            words = f"{error}"
            raise falcon.HTTPConflict(
                title="Several stores",
                description=f"{words[:1].upper()}{words[1:]}. Nothing was changed; a partition is one store, and all "
                "its hosts serve it.",
            ) from error
        others = await self._catalog.list_partitions() if found.store is not None else []
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


def _not_found(name: str) -> falcon.HTTPNotFound:
    return falcon.HTTPNotFound(title="Not found", description=f"There is no partition {name}.")


def _changing(name: str) -> falcon.HTTPConflict:
    return falcon.HTTPConflict(
        title="Partition changed",
        description=f"Partition {name} was just changed by somebody else; look and try again.",
    )
