"""Write the list of jars one Kafka release needs: ``python -m pipeline.dev.lock 4.3.1``.

Run once by whoever adds a Kafka release; the result, ``locks/kafka-<version>.txt``, is committed. Everybody else
only downloads what the list names. That is for three reasons: resolving takes hundreds of small requests and
most of a minute, the list is checked by SHA-256, and nobody gets another classpath than the tests had.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

from pipeline.dev.jars import LOCKS, cache_dir, maven_context

# The trailing "!" keeps jgo from importing the logging binding's dependencyManagement: log4j manages the version of
# hundreds of libraries, kafka-clients 3.8.0 among them, and would replace the broker's own client library with it.
LOGGING: Final = {
    "3": "org.slf4j:slf4j-reload4j:1.7.36!",
    "4": "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3!",
}
"""By major version: 3.x needs log4j-1 classes at run time, 4.x uses log4j2 behind the slf4j-1 interface."""

NOT_NEEDED: Final = ("connect-runtime", "connect-json", "connect-transforms", "connect-api")
"""Kafka Connect comes with the tools and brings half of all jars (Jetty, Jersey); neither broker nor tools run it."""


def coordinates(version: str) -> tuple[str, ...]:
    """What to resolve for one Kafka release."""
    return (f"org.apache.kafka:kafka_2.13:{version}", f"org.apache.kafka:kafka-tools:{version}", LOGGING[version[0]])


def resolve(version: str, repository: Path) -> list[str]:
    """The lines of the list, sorted: ``group:artifact:version sha256``."""
    context = maven_context(repository)
    left_out = [context.project("org.apache.kafka", name) for name in NOT_NEEDED]
    asked = [context.create_dependency(coordinate, left_out) for coordinate in coordinates(version)]
    roots, transitive = context.resolver.resolve(asked)
    wanted = [*roots, *(dependency for dependency in transitive if dependency.scope in ("compile", "runtime"))]
    lines = []
    for dependency in wanted:
        artifact = dependency.artifact
        digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
        lines.append(f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} {digest}")
    return sorted(lines)


def main(versions: list[str]) -> None:
    """Write one list per version named."""
    for version in versions:
        lines = resolve(version, cache_dir() / "repository")
        (LOCKS / f"kafka-{version}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
