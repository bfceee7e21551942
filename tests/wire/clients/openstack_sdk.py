"""The life of queues through openstacksdk's message proxy, run in its environment: URL PROJECT ACTION QUEUE...

The actions are those of ``zaqar_client.py``. The SDK finds the API below the version document at ``/``.
"""

import sys

import openstack
from expectations import Steps, bodies
from keystoneauth1.noauth import NoAuth
from keystoneauth1.session import Session
from openstack import exceptions

POSTED = 25


class NoAuthForProject(NoAuth):
    """No authentication, but the name of a project, which every request of the message API needs."""

    def __init__(self, endpoint, project):
        super().__init__(endpoint=endpoint)
        self._project = project

    def get_project_id(self, session, **kwargs):
        return self._project


def connect(url, project):
    session = Session(auth=NoAuthForProject(url, project))
    versioned = {"message_api_version": "2", "message_endpoint_override": url}
    return openstack.connection.Connection(session=session, **versioned).message


def names(proxy, **params):
    return [queue.name for queue in proxy.queues(**params)]


def post(proxy, name, posted):
    resources = proxy.post_message(name, [{"ttl": 300, "body": body} for body in posted])
    return [href.split("/")[-1] for href in resources]


def life(steps, proxy, wanted):
    steps.expect("no queues at first", names(proxy), [])
    for name in wanted:
        proxy.create_queue(name=name, default_message_ttl=600, description="of " + name)
    steps.expect("queues listed over pages", names(proxy, limit=2, paginated=True), sorted(wanted))
    for name in wanted:
        queue = proxy.get_queue(name)
        found = (queue.default_message_ttl, queue.description, queue.max_messages_post_size)
        steps.expect("metadata kept", found, (600, "of " + name, 262144))
        ids = post(proxy, name, bodies(0, POSTED))
        messages(steps, proxy, name, ids)
        claims(steps, proxy, name)
        subscriptions(steps, proxy, name)
    drop(steps, proxy, wanted)
    for name in wanted:
        steps.expect("nothing left in a deleted queue", list(proxy.messages(name, echo=True)), [])


def messages(steps, proxy, name, ids):
    read = [message.body for message in proxy.messages(name, echo=True, limit=20, paginated=False)]
    steps.expect("a page read in order", read, bodies(0, 20))
    steps.expect("read one", proxy.get_message(name, ids[4]).body, bodies(4, 1)[0])
    proxy.delete_message(name, ids[0])
    steps.refused("deleted one is gone", exceptions.NotFoundException, lambda: proxy.get_message(name, ids[0]))
    # The SDK does not look at the status of this call: it finds no resources in the document of the error.
    steps.refused("ttl too short", KeyError, lambda: proxy.post_message(name, [{"ttl": 1, "body": 1}]))


def claims(steps, proxy, name):
    claim = proxy.create_claim(name, ttl=120, grace=60, limit=5)
    claimed = [message["body"]["n"] for message in claim.messages]
    # The SDK sends the limit in the body, where the API does not look for it: ten are claimed.
    steps.expect("claimed the oldest in order", claimed, list(range(1, 11)))
    # This release leaves the claim's id unset, so it is taken from where the other clients take it.
    held = claim.messages[0]["href"].split("?claim_id=")[1]
    proxy.update_claim(name, held, ttl=300, grace=60)
    steps.expect("claim renewed", proxy.get_claim(name, held).ttl, 300)
    first = claim.messages[0]["id"]
    refused = exceptions.ForbiddenException
    steps.refused("claimed one not deleted without its claim", refused, lambda: proxy.delete_message(name, first))
    proxy.delete_message(name, first, claim=held)
    proxy.delete_claim(name, held)
    steps.refused("released claim is gone", exceptions.NotFoundException, lambda: proxy.get_claim(name, held))
    again = proxy.create_claim(name, ttl=120, grace=60)
    steps.expect("released ones claimed again", [message["body"]["n"] for message in again.messages][:2], [2, 3])


def subscriptions(steps, proxy, name):
    made = proxy.create_subscription(name, subscriber="http://127.0.0.1:9/", ttl=600, options={"n": 1})
    found = proxy.get_subscription(name, made.subscription_id)
    steps.expect("subscription kept", (found.subscriber, found.ttl, found.source), ("http://127.0.0.1:9/", 600, name))
    listed = [one.id for one in proxy.subscriptions(name, paginated=False)]
    steps.expect("subscription listed", listed, [made.subscription_id])
    proxy.delete_subscription(name, made.subscription_id)
    steps.expect("subscription deleted", list(proxy.subscriptions(name)), [])


def walk(steps, proxy, wanted):
    steps.expect("all queues in order", names(proxy, paginated=True), sorted(wanted))
    steps.expect("all, the page being as large as it may", names(proxy, limit=20, paginated=True), sorted(wanted))


def drop(steps, proxy, wanted):
    for name in wanted:
        proxy.delete_queue(name)
    steps.expect("no queues in the end", names(proxy), [])


def main(url, project, action, *wanted):
    proxy = connect(url, project)
    steps = Steps()
    if action == "life":
        life(steps, proxy, wanted)
    elif action == "drop":
        drop(steps, proxy, wanted)
    elif action == "walk":
        walk(steps, proxy, wanted)
    else:
        for name in wanted:
            proxy.create_queue(name=name)
            steps.expect("posted", len(post(proxy, name, bodies(0, 10))), 10)
    steps.report(queues=wanted)


if __name__ == "__main__":
    main(*sys.argv[1:])
