"""The files of tools/deploy agree with each other and with the code.

There is no Docker and no systemd to run them here, so this reads them.
"""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from ditto.runtime.transport.certificates import general_name
from ditto.runtime.transport.hosts import load_hosts
from ditto_compiler.network import PARTIES
from ditto_tools.cli import cli

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "tools" / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE_TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
HOSTS = tomllib.loads((DEPLOY / "hosts.toml").read_text())
ACCESS = tomllib.loads((DEPLOY / "access.toml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
UNIT = [
    tuple(line.split("=", 1))
    for line in (DEPLOY / "ditto-party@.service").read_text().splitlines()
    if "=" in line and not line.startswith("#")
]
SERVICES = COMPOSE["services"]
PARTY_SERVICES = [SERVICES[f"party{rank}"] for rank in range(PARTIES)]

LIMITS = {"sessions", "idle_s", "run_s", "memory_bytes", "results_bytes"}


def unit(key):
    return [value for name, value in UNIT if name == key]


def size(text):
    return int(text[:-1]) * {"m": 1 << 20, "g": 1 << 30}[text[-1].lower()]


def parse(command):
    """What `ditto` would do with a command line, without doing it."""
    name, *arguments = command
    return cli.commands[name].make_context(name, arguments).params


def instructions(word):
    lines = DOCKERFILE.replace("\\\n", "").splitlines()
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{word} ")]


@pytest.fixture(scope="module")
def hosts():
    return load_hosts(DEPLOY / "hosts.toml")


def test_parties_are_where_the_hosts_file_says(hosts):
    for rank, service in enumerate(PARTY_SERVICES):
        address, link = hosts.addresses[rank], hosts.links[rank]
        assert service["environment"] == {"RANK": str(rank)}
        assert service["expose"] == [str(address.port), str(link.port)]
        assert service["networks"] == {
            "callers": {"aliases": [address.host]},
            "links": {"aliases": [link.host]},
        }
    assert SERVICES["caller"]["networks"] == ["callers"]
    assert set(COMPOSE["networks"]) == {"callers", "links"}
    assert set(SERVICES) == {"party0", "party1", "party2", "caller"}


def test_the_certificates_that_compose_yaml_has_made(hosts, tmp_path):
    (line,) = re.findall(r"^#     ditto (certify .*)$", COMPOSE_TEXT, re.MULTILINE)
    command, folder, *names = shlex.split(line)
    assert CliRunner().invoke(cli, [command, str(tmp_path / folder), *names]).exit_code == 0
    assert names[:PARTIES] == [party["name"] for party in HOSTS["parties"]]
    assert names[PARTIES:] == [name for owners in ACCESS["owners"].values() for name in owners]
    (loop,) = re.findall(r"^#     for name in (.* caller); do$", COMPOSE_TEXT, re.MULTILINE)
    assert [f"{name}.example" for name in loop.split()] == names
    for name in names:
        for path in (hosts.ca, hosts.certificate, hosts.key):
            assert (tmp_path / folder / name / path.name).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_containers_can_do_little(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"]["core"] == 0
    assert service["mem_limit"] == service["memswap_limit"]
    wide = {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode", "ports", "user"}
    assert not wide & set(service)
    assert "/etc/ditto" in [mount.split(":")[1] for mount in service["volumes"] if mount.endswith(":ro")]


def test_parties_share_no_folder():
    mounts = [mount.split(":")[0] for service in PARTY_SERVICES for mount in service["volumes"]]
    assert len(set(mounts)) == len(mounts) == 2 * PARTIES
    assert {mount for mount in mounts if not mount.startswith("./")} == set(COMPOSE["volumes"])


def test_one_user_owns_what_is_written():
    (user,) = instructions("USER")
    number, group = user.split(":")
    assert int(number) > 0
    assert f"groupadd --gid {group} " in DOCKERFILE
    assert f"useradd --uid {number} --gid {group} " in DOCKERFILE
    assert f"chown -R {user} " in COMPOSE_TEXT
    for service in SERVICES.values():
        (tmpfs,) = service["tmpfs"]
        assert {f"uid={number}", f"gid={group}", "mode=0700"} <= set(tmpfs.partition(":")[2].split(","))


def test_the_image_is_for_our_python_and_has_what_the_build_reads():
    (base,) = {line.split()[0] for line in instructions("FROM")}
    version = tuple(map(int, re.fullmatch(r"python:(\d+)\.(\d+)-slim-bookworm", base).groups()))
    assert (
        PROJECT["project"]["requires-python"] == f">={version[0]}.{version[1]},<{version[0]}.{version[1] + 1}"
    )
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    wanted = {*PROJECT["tool"]["scikit-build"]["wheel"]["packages"], "CMakeLists.txt", "pyproject.toml"}
    wanted |= {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    for path in wanted:
        assert any(path == one or path.startswith(f"{one}/") for one in sent), path
        assert (ROOT / path).exists()
    assert {"*", "**/*.key", "**/*.pem"} <= set(lines)


def test_the_command_lines_are_ours():
    (entry,) = instructions("ENTRYPOINT")
    shell, option, script = yaml.safe_load(entry)
    assert (shell, option) == ("/bin/sh", "-c")
    program, ditto, *command = shlex.split(script.replace("$RANK", "2"))
    assert (program, ditto) == ("exec", "ditto")
    assert parse(command) == {"hosts": Path("/etc/ditto/hosts.toml"), "rank": 2}
    (start,) = unit("ExecStart")
    program, *command = start.replace("%d", "/credentials").replace("%i", "1").split()
    assert parse(command) == {"hosts": Path("/credentials/hosts.toml"), "rank": 1}
    assert program == "/opt/ditto/bin/ditto" and "PATH=/opt/ditto/bin:" in DOCKERFILE
    caller = SERVICES["caller"]
    assert caller["entrypoint"] == ["ditto"]
    assert parse(caller["command"])["hosts"] == Path("/etc/ditto/hosts.toml")


def test_the_service_gets_the_files_that_are_named():
    named = {
        "hosts.toml",
        HOSTS["ca"],
        HOSTS["certificate"],
        HOSTS["key"],
        HOSTS["access"],
        ACCESS["store_key"],
    }
    credentials = dict(line.split(":") for line in unit("LoadCredential"))
    assert credentials == {name: f"/etc/ditto/{name}" for name in named}
    assert named <= {path.name for path in DEPLOY.iterdir()} | {"ca.pem", "host.pem", "host.key", "store.key"}


def test_the_service_can_do_little():
    for key, value in {
        "ProtectSystem": "strict",
        "PrivateTmp": "yes",
        "NoNewPrivileges": "yes",
        "LimitCORE": "0",
        "MemorySwapMax": "0",
        "CapabilityBoundingSet": "",
        "DynamicUser": "yes",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter": "@system-service",
        "KillMode": "mixed",
        "Restart": "on-failure",
    }.items():
        assert unit(key) == [value]


def test_the_store_is_what_outlives_a_party():
    assert unit("StateDirectory") == [Path(ACCESS["store"]).name]
    assert Path(ACCESS["store"]).parent == Path("/var/lib")
    assert f"--owner=ditto --group=ditto --mode=0700 {ACCESS['store']}" in DOCKERFILE
    for service in PARTY_SERVICES:
        assert [mount.split(":")[1:] for mount in service["volumes"]] == [
            ["/etc/ditto", "ro"],
            [ACCESS["store"]],
        ]


def test_memory_is_enough_for_what_is_let_in():
    (limit,) = {service["mem_limit"] for service in SERVICES.values()}
    (tmpfs,) = {mount for service in SERVICES.values() for mount in service["tmpfs"]}
    # As much again for what the engine computes.
    held = 2 * ACCESS["sessions"] * ACCESS["memory_bytes"]
    assert size(limit) >= held
    assert size(re.search(r"size=(\w+)", tmpfs)[1]) <= ACCESS["results_bytes"] < size(limit)
    assert [size(value) for value in unit("MemoryMax")] == [size(limit)]


def test_the_keys_of_the_access_file():
    assert set(ACCESS) == LIMITS | {"store", "store_key", "owners", "allow"}
    (rule,) = ACCESS["allow"]
    assert set(rule) == {"programs", "callers"}
    # What is shown in comments is well-formed, too.
    commented = "\n".join(
        line.removeprefix("# ")
        for line in (DEPLOY / "access.toml").read_text().splitlines()
        if re.match(r"# (\[\[|\w+ = )", line)
    )
    example = tomllib.loads(commented)
    assert [set(entry) for entry in example["deposit"]] == [{"name", "owner", "max_bytes"}]
    assert [set(entry) for entry in example["allow"]] == [{"programs", "callers", "deposits"}]
    assert example["allow"][0]["deposits"] == [example["deposit"][0]["name"]]


def test_names_are_such_that_certificates_can_have_them():
    names = [party["name"] for party in HOSTS["parties"]]
    names += [name for owners in ACCESS["owners"].values() for name in owners]
    names += [name for rule in ACCESS["allow"] for name in rule["callers"]]
    for name in names:
        assert general_name(name).value == name


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "ditto-party@.service"])
def test_what_was_never_run_says_so(name):
    assert re.search(r"^# Nobody has (built|run|started) this ", (DEPLOY / name).read_text(), re.MULTILINE)
