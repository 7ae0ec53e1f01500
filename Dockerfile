# The page of `ganimation serve` on CPUs. Build: docker build -t ganimation .
FROM python:3.11-slim-bookworm AS build
COPY pyproject.toml README.md LICENSE NOTICE /source/
COPY src /source/src
RUN python -m venv /opt/ganimation \
    && /opt/ganimation/bin/pip install --no-cache-dir "/source[web,films,openvino]"

FROM python:3.11-slim-bookworm
COPY --from=build /opt/ganimation /opt/ganimation
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin ganimation
USER 10001
# all that is written: visitors' files, which the page removes
ENV HOME=/tmp TMPDIR=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["/opt/ganimation/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["/opt/ganimation/bin/ganimation", "serve", "--host", "0.0.0.0"]
CMD ["--port", "7860"]
