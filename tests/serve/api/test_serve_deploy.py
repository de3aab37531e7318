"""The files in deploy/: settings that can be read, a command that exists, a compose file that fits it."""

import json
import re
from pathlib import Path

import pytest
import typer

from salon.cli.main import program
from salon.serve.settings import read_settings


@pytest.fixture
def deploy(repo: Path) -> Path:
    return repo / "deploy"


def test_the_settings_can_be_read(deploy: Path) -> None:
    settings = read_settings(deploy / "salon.toml")
    assert settings.host == "0.0.0.0"
    assert settings.tls


def test_the_command_of_the_image_exists_with_its_options(deploy: Path) -> None:
    text = (deploy / "Dockerfile").read_text()
    command = json.loads(re.search(r"^CMD (\[.*\])$", text, re.M).group(1))
    assert command[:2] == ["salon", "serve"]
    verb = typer.main.get_command(program(["serve", "weights"])).commands["serve"]
    known = {option for parameter in verb.params for option in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= known
    assert "USER salon" in text
    assert text.index("USER salon") < text.index('CMD ["salon"')


def test_the_services_fit_together(deploy: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="compose files are YAML")
    services = yaml.safe_load((deploy / "compose.yaml").read_text())["services"]
    salon, database = services["salon"], services["db"]
    assert (deploy / salon["build"]["context"] / salon["build"]["dockerfile"]).is_file()
    assert list(salon["depends_on"]) == ["db"]
    assert salon["environment"]["SALON_STORE"].startswith("postgresql://salon:")
    assert database["environment"]["POSTGRES_DB"] == "salon"
    assert all(port.startswith("127.0.0.1:") for port in salon["ports"])
    assert "ports" not in database
