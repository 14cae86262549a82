# Two stages: the first installs from the lock file, the second runs as nobody in particular.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /headgate
COPY pyproject.toml Makefile README.md LICENSE ./
COPY locks ./locks
COPY src ./src
RUN make .venv/.server

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /headgate headgate \
    && install --directory --owner headgate --group headgate /var/lib/headgate
WORKDIR /headgate
COPY --from=build /headgate /headgate
ENV HEADGATE_HOME=/var/lib/headgate PATH=/headgate/.venv/bin:$PATH PYTHONUNBUFFERED=1
USER headgate
VOLUME /var/lib/headgate
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["headgate", "serve", "--host", "0.0.0.0", "--port", "8000"]
