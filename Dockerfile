# No `# syntax` line: the frontend of BuildKit itself is enough, and one image less to pin. Renovate pins the bases by
# digest and renews them; .github/pin-bases.sh writes in the digests that are missing before a release is built.
FROM gcr.io/distroless/python3-debian13:nonroot AS base

FROM docker.io/library/python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
# The virtual environment refers to its interpreter by path, and distroless has it at this one.
RUN ln -s /usr/local/bin/python3.13 /usr/bin/python3.13
RUN /usr/bin/python3.13 -m venv --without-pip /opt/exporter && \
    /usr/bin/python3.13 -m venv --without-pip /opt/build
WORKDIR /src
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN pip --python /opt/exporter/bin/python install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary=:all: --requirement requirements/runtime.txt && \
    pip --python /opt/build/bin/python install --no-cache-dir --no-deps --require-hashes --only-binary=:all: --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter/ exporter/
RUN pip --python /opt/build/bin/python wheel --no-deps --no-build-isolation --wheel-dir /dist . && \
    pip --python /opt/exporter/bin/python install --no-cache-dir --no-compile --no-deps --no-index /dist/*.whl
# Without bytecode a start takes three times the CPU, each time: nothing is written at run time. Distroless has none of the
# standard library. Times of files change in the registry, so bytecode is valid without comparing them.
COPY --from=base /usr/lib/python3.13/ /bytecode/usr/lib/python3.13/
RUN /usr/bin/python3.13 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash /opt/exporter/lib && \
    /usr/bin/python3.13 -m compileall -q -f -j 0 --invalidation-mode unchecked-hash -s /bytecode -p / /bytecode && \
    find /bytecode -type f ! -name '*.pyc' -delete

FROM gcr.io/distroless/python3-debian13:nonroot AS runtime
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="policy-report-exporter" \
      org.opencontainers.image.description="Prometheus exporter and alerting sidecar for Kubernetes policy engines, Kyverno first." \
      org.opencontainers.image.url="https://github.com/policy-report-exporter/policy-report-exporter" \
      org.opencontainers.image.documentation="https://github.com/policy-report-exporter/policy-report-exporter/blob/main/README.md" \
      org.opencontainers.image.source="https://github.com/policy-report-exporter/policy-report-exporter" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="gcr.io/distroless/python3-debian13:nonroot" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
ENV PATH=/opt/exporter/bin:/usr/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1
COPY --from=build /opt/exporter /opt/exporter
COPY --from=build /bytecode/ /
USER 65532:65532
EXPOSE 10480
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/exporter/bin/policy-report-exporter"]
CMD ["serve"]
