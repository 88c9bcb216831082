"""A certificate, two nodes that know nothing of each other, and each balancer before them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from deploy_scene import BALANCERS, METRICS_TOKEN, Certificate, Ports, balancing
from e2e_scene import Server
from listening_post import listening


@pytest.fixture(scope="session")
def ports():
    ports = Ports()
    yield ports
    ports.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def nodes(tmp_path_factory):
    """Two servers, each with rooms of its own; what a balancer does with them is the same."""
    folder = tmp_path_factory.mktemp("nodes")
    with ThreadPoolExecutor() as threads:

        def start(name):
            token = {"TRIOLET_ADMIN_METRICS_TOKEN": METRICS_TOKEN}
            return Server(folder / name, TRIOLET_STORE="memory:", **token)

        nodes = list(threads.map(start, ("one", "two")))
        yield nodes
        statuses = list(threads.map(Server.stop, nodes))
    said = "".join(node.said for node in nodes)
    assert statuses == [0, 0], said
    assert "Traceback" not in said, said


@pytest.fixture(scope="module", params=BALANCERS)
def balancer(request, tmp_path_factory, ports, certificate, nodes):
    """Each of the two, before two nodes and a third that is never there."""
    folder = tmp_path_factory.mktemp("balancer") / request.param
    three = [*(node.port for node in nodes), ports.held()]
    with balancing(request.param, folder, ports, certificate, three) as balancer:
        yield balancer


@pytest.fixture(params=BALANCERS)
async def posted(request, tmp_path, ports, certificate):
    """Each of the two, and the post that stands for all three nodes."""
    async with listening() as post:
        three = [post.port] * 3
        folder = tmp_path / request.param
        with balancing(request.param, folder, ports, certificate, three) as balancer:
            yield balancer, post
