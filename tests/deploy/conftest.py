"""A certificate, two nodes that know nothing of each other, and each balancer before them."""

import pytest
from deploy_scene import BALANCERS, Certificate, Ports, balancing
from e2e_scene import Server


@pytest.fixture(scope="session")
def ports():
    ports = Ports()
    yield ports
    ports.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Two servers, each with rooms of its own; what a balancer does with them is the same."""
    folder = tmp_path_factory.mktemp("nodes")
    nodes = [Server(folder / name, TRIOLET_STORE="memory:") for name in ("one", "two")]
    yield nodes
    for node in nodes:
        assert node.stop() == 0, node.said
        assert "Traceback" not in node.said, node.said


@pytest.fixture(scope="module", params=BALANCERS)
def balancer(request, tmp_path_factory, ports, certificate, nodes):
    """Each of the two, before two nodes and a third that is never there."""
    folder = tmp_path_factory.mktemp("balancer") / request.param
    three = [*(node.port for node in nodes), ports.dead()]
    with balancing(request.param, folder, ports, certificate, three) as balancer:
        yield balancer
