# One image for every part of the service; the first argument chooses the part
# (service/run/container.py): api, worker, interactive, recovery or migrate.

FROM python:3.12-slim-bookworm AS base
ENV PATH=/app/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1

# The locked packages, in an environment of their own, so that a change of the code does not
# install them again.
FROM base AS packages
WORKDIR /build
COPY pyproject.toml uv.lock ./
# uv itself is checked against the hashes in the lock, and uv checks all other packages in turn.
RUN python -c "import tomllib; \
    packages = tomllib.load(open('uv.lock', 'rb'))['package']; \
    uv = next(package for package in packages if package['name'] == 'uv'); \
    print('uv==' + uv['version'], *('--hash=' + wheel['hash'] for wheel in uv['wheels']))" > uv.txt \
    && pip install --no-cache-dir --root-user-action=ignore --require-hashes --requirement uv.txt
ENV UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1
RUN --mount=type=cache,target=/root/.cache/uv \
    UV_PROJECT_ENVIRONMENT=/opt/venv uv sync --locked --no-default-groups --no-install-project \
    && find /opt/venv -type d -name tests -prune -exec rm -rf {} +

# The project itself, as a wheel in a folder of its own.
FROM packages AS project
RUN --mount=type=cache,target=/root/.cache/uv \
    UV_PROJECT_ENVIRONMENT=/opt/build uv sync --locked --only-group build
COPY . .
RUN uv build --wheel --no-build-isolation --python /opt/build/bin/python --out-dir /wheel \
    && uv pip install --python /opt/venv/bin/python --no-deps --target /app /wheel/*.whl

FROM base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends graphviz \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 gradserve \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home \
       --shell /usr/sbin/nologin gradserve \
    && install --directory --owner=gradserve --group=gradserve /var/cache/gradserve
COPY --from=packages /opt/venv /opt/venv
COPY --from=project /app /app

# A job is one process on one core: linear algebra threads would only fight for it.
ENV HOME=/tmp \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    NUMBA_CACHE_DIR=/var/cache/gradserve \
    GRADSERVE_HEARTBEAT_FILE=/tmp/gradserve.alive
USER 10001:10001
WORKDIR /app
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-P", "-m", "service.run.probe", "api"]
ENTRYPOINT ["python", "-P", "-m", "service.run.container"]
CMD ["api"]

ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="gradserve" \
      org.opencontainers.image.description="Train small neural networks as jobs over HTTP" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/python:3.12-slim-bookworm"
