# syntax=docker/dockerfile:1
# The operator's image. Build it from a checkout: docker build -t spillway-operator:0.1.0 .
# The base is pinned by version; pin it by digest where your registry is known:
#   docker build --build-arg BASE=python:3.13-slim@sha256:… .
ARG BASE=python:3.13.5-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/spillway
# Dependencies first: they change less often than the code. Every one is checked against its hash.
COPY requirements.lock ./
RUN /opt/spillway/bin/pip install --require-hashes --only-binary :all: --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator ./operator
RUN /opt/spillway/bin/pip install --no-deps . \
 && /opt/spillway/bin/pip uninstall --yes pip \
 && /opt/spillway/bin/python -m compileall -q /opt/spillway/lib

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="spillway-operator" \
      org.opencontainers.image.description="Elastic capacity for Kubernetes: the right pods on the cheapest nodes, and exactly the right pods gone when load falls" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Compiled above, and never written here: the root filesystem may be read-only.
ENV PATH=/opt/spillway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/spillway /opt/spillway
# The chart's runAsUser; a number, so that runAsNonRoot can be checked.
USER 65532:65532
WORKDIR /
EXPOSE 8080 9443
ENTRYPOINT ["spillway"]
CMD ["run"]
